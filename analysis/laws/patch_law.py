"""The patch-aware law: what a single curve over forward compute cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.clusters import bend, errors_of, kernels_of
from analysis.laws.data.estimate import Estimate, HeldOut
from analysis.laws.data.unfit import unfit

Array = NDArray[np.float64]
FEWEST = 6
NAMES = ("constant", "ln G", "ln patch", "ln G x ln patch")


@dataclass(frozen=True, slots=True)
class PatchLaw:
    """ln y = c0 + c1 ln G + c2 ln p + c3 ln G ln p: the exponent of compute depends on the patch.

    The pooled law (c2 = c3 = 0) is judged beside it by the held-out largest model.
    """

    n: int
    coefficients: tuple[Estimate, ...] = ()
    names: tuple[str, ...] = ()
    status: str = "ok"
    held_out: HeldOut | None = None
    pooled_held_out: HeldOut | None = None

    def at(self, gmacs: ArrayLike, patch: ArrayLike) -> Array:
        """Return the law's y; raises ValueError where there is no law."""
        if not self.coefficients:
            raise ValueError(f"there is no law: {self.status}")
        lg = np.log(np.asarray(gmacs, float))
        columns = design(lg, np.log(np.asarray(patch, float)), len(self.coefficients))
        return np.asarray(np.exp(columns @ np.array([c.value for c in self.coefficients], float)))

    def exponent(self, patch: float) -> float:
        """Return d ln y / d ln G at one patch size."""
        values = [float(c.value or 0) for c in self.coefficients]
        return values[1] + (values[3] * float(np.log(patch)) if len(values) > 3 else 0.0)


def patch_law(
    gmacs: ArrayLike,
    patch: ArrayLike,
    y: ArrayLike,
    level: float = 0.95,
    clusters: Sequence[ArrayLike] = (),
) -> PatchLaw:
    """Return the law by least squares on ln y, one row per configuration, the largest G held out.

    Each of `clusters` labels points that may deviate together. Needs six configurations of two
    patch sizes, all positive and finite; otherwise a status and no number.
    """
    g, p, v = (np.asarray(a, float) for a in (gmacs, patch, y))
    if not len(g) == len(p) == len(v):
        raise ValueError(f"columns of different length: {len(g)}, {len(p)}, {len(v)}")
    status = unfit(np.stack([g, p], 1), v, FEWEST, "configurations", positive=True)
    if status:
        return PatchLaw(len(v), status=status)
    lg = np.log(g)
    lp = np.log(p)
    lv = np.log(v)
    columns = design(lg, lp, 4)
    if np.linalg.matrix_rank(columns) < 4:
        return PatchLaw(len(v), status="patch and compute cannot be told apart")
    rows = np.linalg.pinv(columns)
    errors = errors_of(columns, lv, kernels_of(clusters))
    estimates = []
    for row in rows:
        half = errors.half(row, level)
        estimates.append(Estimate(float(row @ lv), float(row @ lv - half), float(row @ lv + half)))
    held = (_predict_largest(lg, design(lg, lp, k), lv, clusters) for k in (4, 2))
    return PatchLaw(len(v), tuple(estimates), NAMES, "ok", *held)


def design(lg: Array, lp: Array, terms: int) -> Array:
    """Return the columns (..., terms) of the law at ln G and ln patch; two terms: without patch."""
    lg, lp = np.broadcast_arrays(lg, lp)
    return np.stack([np.ones_like(lg), lg, lp, lg * lp][:terms], -1)


def _predict_largest(
    lg: Array, columns: Array, lv: Array, clusters: Sequence[ArrayLike], level: float = 0.95
) -> HeldOut:
    out = lg == lg.max()
    actual = float(np.exp(lv[out].mean()))
    x = float(np.exp(lg.max()))
    order = np.append(np.flatnonzero(~out), np.flatnonzero(out)[0])
    kept = len(order) - 1
    data = columns[order[:-1]]
    factor = float(np.exp(lg.max() - lg[~out].max()))
    if kept <= data.shape[1] or np.linalg.matrix_rank(data) < data.shape[1]:
        return HeldOut(x, actual, None, None, None, factor)
    weights = columns[order[-1]] @ np.linalg.pinv(data)
    kernels = kernels_of([np.asarray(c)[order] for c in clusters])
    kernels += bend(columns[order], lg[order], kept)
    errors = errors_of(data, lv[order[:-1]], kernels)
    centre = float(weights @ lv[order[:-1]])
    half = errors.half(np.append(weights, -1.0), level)
    value, low, high = (float(np.exp(v)) for v in (centre, centre - half, centre + half))
    return HeldOut(x, actual, value, low, high, factor)
