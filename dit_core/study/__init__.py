"""The study language: YAML to frozen, documented, closed models, and these to runs."""
