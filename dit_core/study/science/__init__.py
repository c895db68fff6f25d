"""The frozen words of a study: what changes the numbers of a run, how it is measured, what is
claimed.
"""
