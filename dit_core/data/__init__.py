"""Data sets and the resumable order of their samples."""
