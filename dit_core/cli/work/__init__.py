"""Commands that plan, train, sample and measure."""
