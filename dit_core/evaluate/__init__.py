"""Sampling, features and metrics under named protocols."""
