"""Why data do not carry a fit: too few points, not finite, not positive, no variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def unfit(columns: Array, y: Array, fewest: int, of: str = "points", positive: bool = False) -> str:
    """Return why y (n,) cannot be fitted over columns (n, k), "" where it can.

    `fewest` of what is called `of` are needed; `positive`: logarithms will be taken.
    """
    if len(columns) != len(y):
        raise ValueError(f"x holds {len(columns)} values and y {len(y)}")
    if not (np.isfinite(columns).all() and np.isfinite(y).all()):
        return "not finite"
    if len(y) < fewest:
        return f"too few {of} ({len(y)} < {fewest})"
    if positive and ((columns <= 0).any() or (y <= 0).any()):
        return "not positive"
    for column in (*columns.T, y) if positive else columns.T:
        if is_flat(column):
            return "zero variance"
    return ""


def is_flat(values: Array) -> bool:
    """Return whether values are one value but for rounding: 0.1 + 0.2 and 0.3 are one."""
    return bool(np.ptp(values) <= 1e-12 * max(1e-300, float(np.abs(values).max())))
