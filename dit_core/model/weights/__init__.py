"""Weights in the layouts and files of other projects."""
