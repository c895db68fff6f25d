"""Fits of scaling laws. Pure: arrays and a random generator in, frozen results with a status out; numbers or flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope x by ordinary least squares; numbers are None where `status` says why."""

    n: int
    slope: float | None
    intercept: float | None
    r2: float | None
    slope_low: float | None = None
    slope_high: float | None = None
    status: str = "ok"

    def at(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the line's y at x; raises ValueError where there is no line."""
        if self.slope is None or self.intercept is None:
            raise ValueError(f"there is no line: {self.status}")
        return self.intercept + self.slope * np.asarray(x, float)


def ols(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Line:
    """Return the least-squares line through x (n,), y (n,) with Student's interval of the slope (n >= 3)."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    n = len(xs)
    if n != len(ys):
        raise ValueError(f"x holds {n} values and y {len(ys)}")
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        return Line(n, None, None, None, status="not finite")
    if n < 3:
        return Line(n, None, None, None, status=f"too few points ({n} < 3)")
    if np.ptp(xs) <= 1e-12 * max(1e-300, float(np.abs(xs).max())):
        return Line(n, None, None, None, status="zero variance")
    found = stats.linregress(xs, ys)
    half = float(stats.t.ppf((1 + level) / 2, n - 2) * found.stderr)
    slope, intercept = float(found.slope), float(found.intercept)
    return Line(n, slope, intercept, float(found.rvalue) ** 2, slope - half, slope + half)
