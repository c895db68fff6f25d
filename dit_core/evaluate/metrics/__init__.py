"""From features or rows to numbers with intervals."""
