"""Names of the metrics that hold samples against the real ones whose conditions they were asked
for.
"""

from __future__ import annotations

# A sample's error, that of the mean of a row's samples, a simple guess's, and the first two as
# shares of the third.
COMPLETION = (
    "completion_rmse",
    "completion_mean_rmse",
    "class_mean_rmse",
    "completion_ratio",
    "completion_mean_ratio",
)
DETAIL = (
    "detail_rmse",
    "detail_mean_rmse",
    "adjusted_mean_rmse",
    "detail_ratio",
    "detail_mean_ratio",
)
# The same of maps of any kind, with the mean training map of the label as the guess; and of their
# spectra.
FIELDS = ("field_rmse", "field_mean_rmse", "mean_map_rmse", "field_ratio", "field_mean_ratio")
SPECTRA = ("power_error", "cross_correlation")
OBEDIENCE = ("ink_r2", "ink_slope", "slant_r2", "slant_slope", "width_r2", "width_slope")
TWO_SAMPLE = ("two_sample_accuracy", "quadratic_accuracy", "mmd2", "memorised")
