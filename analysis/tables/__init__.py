"""Records to an index to SQL tables and frames."""
