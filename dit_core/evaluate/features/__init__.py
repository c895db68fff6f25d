"""Features of samples and of the real data: extractors, sums, references, progress on disk."""
