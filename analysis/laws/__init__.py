"""Correlations and scaling laws. Pure: arrays in, frozen results out."""
