"""Executing runs: one run from claim to record, its processes, the runs of a plan here."""
