"""Commands that check, free and archive results."""
