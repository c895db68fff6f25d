"""Runs carried out: one run from claim to record, its processes, the runs of a plan on this
machine.
"""
