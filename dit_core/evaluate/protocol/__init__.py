"""Named, versioned ways of measuring, and what each needs."""
