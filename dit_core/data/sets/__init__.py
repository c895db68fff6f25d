"""Data sets that ship with scikit-learn, and samples with conditions."""
