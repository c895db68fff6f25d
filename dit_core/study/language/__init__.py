"""The study language: a YAML file to a checked `Study`, and the handbook of its keys."""
