"""The straight line of a figure, by ordinary least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.laws.clusters import errors_of, kernels_of
from analysis.laws.data.unfit import unfit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope x; numbers are None where `status` says why."""

    n: int
    slope: float | None
    intercept: float | None
    r2: float | None
    slope_low: float | None = None
    slope_high: float | None = None
    status: str = "ok"

    def at(self, x: ArrayLike) -> Array:
        """Return the line's y at x; raises ValueError where there is no line."""
        if self.slope is None or self.intercept is None:
            raise ValueError(f"there is no line: {self.status}")
        return self.intercept + self.slope * np.asarray(x, float)


def ols(
    x: ArrayLike, y: ArrayLike, level: float = 0.95, clusters: Sequence[ArrayLike] = ()
) -> Line:
    """Return the least-squares line through x (n,), y (n,) with an interval of the slope (n >= 3).

    Student's where no `clusters` are given; each is a label for every point (its size, its patch)
    whose points may deviate together, which widens the interval as far as the residuals say so.
    """
    xs = np.asarray(x, float)
    ys = np.asarray(y, float)
    status = unfit(xs[:, None] if xs.ndim == 1 else xs, ys, 3)
    if status:
        return Line(len(xs), None, None, None, status=status)
    found = stats.linregress(xs, ys)
    slope = float(found.slope)
    columns = np.stack([np.ones_like(xs), xs - xs.mean()], 1)
    half = errors_of(columns, ys, kernels_of(clusters)).half(np.linalg.pinv(columns)[1], level)
    r2 = float(found.rvalue) ** 2
    return Line(len(xs), slope, float(found.intercept), r2, slope - half, slope + half)
