"""The frozen words of a study: what changes a run's numbers, its measurement, its claims."""
