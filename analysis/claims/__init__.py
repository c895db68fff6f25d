"""Claims judged on records."""
