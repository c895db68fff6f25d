"""From tables to the points of a question: sources, configurations, comparisons."""
