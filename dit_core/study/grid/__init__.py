"""From a study to its runs and evaluations, with ids and names."""
