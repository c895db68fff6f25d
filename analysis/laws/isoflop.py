"""isoFLOP minima: the best number of parameters at a compute budget, and how it grows with it.

The unit is the training. Curves of a few sizes are read at several budgets, and more readings of
the same curves are no more evidence; so the interval leaves out one size at a time (jackknife).
Where too few of the remaining curves share a budget, the change of the exponent is taken from a
quadratic in ln N and ln C through all readings, with and without that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from analysis.laws.data.estimate import NO_ESTIMATE, Estimate

Array = NDArray[np.float64]
BUDGETS = 6
FEWEST = 3  # curves at a budget, for a parabola
FEWEST_INTERVAL = 4  # sizes
EDGE = 0.1  # a minimum this near the end of the sizes tried is decided by one side only


@dataclass(frozen=True, slots=True)
class Curve:
    """One size's results over training: compute (k,) and y (k,), seeds averaged."""

    params: float
    compute: Array
    y: Array


@dataclass(frozen=True, slots=True)
class Minimum:
    """The best size at one budget, by a parabola in ln N; None where `status` says why."""

    budget: float
    n: int
    best_n: float | None
    best_y: float | None
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class IsoFlop:
    """Minima by budget, and the exponent of N_opt = k C^exponent with `n` sizes behind it."""

    minima: tuple[Minimum, ...]
    n: int = 0
    exponent: Estimate = NO_ESTIMATE
    status: str = "ok"
    flags: tuple[str, ...] = ()
    without: tuple[tuple[float, float], ...] = ()
    """(parameters, exponent) with each size left out."""

    @property
    def inside(self) -> int:
        """The number of budgets with their minimum inside the sizes tried."""
        return sum(m.status == "ok" for m in self.minima)


def isoflop_of(curves: Sequence[Curve], budgets: int = BUDGETS) -> IsoFlop:
    """Return the minima between the curves' shared ends and the exponent through them."""
    many = [c for c in curves if len(c.compute) > 1]
    if len(many) < FEWEST:
        return IsoFlop((), len(many), status=f"too few sizes ({len(many)} < {FEWEST})")
    found = replace(_by_minima(many, budgets), n=len(many))
    quadratic = _by_quadratic(many)
    if found.exponent.value is None and quadratic is not None:
        flag = "from a quadratic through all readings: too few budgets have a minimum inside"
        found = replace(found, exponent=Estimate(quadratic), status="ok", flags=(flag,))
        return _with_interval(found, many, quadratic, 0)
    return _with_interval(found, many, quadratic, budgets)


def _with_interval(
    found: IsoFlop, curves: Sequence[Curve], quadratic: float | None, budgets: int
) -> IsoFlop:
    value = found.exponent.value
    if value is None:
        return found
    if len(curves) < FEWEST_INTERVAL:
        reason = f"no interval: too few sizes ({len(curves)} < {FEWEST_INTERVAL})"
        return replace(found, flags=(*found.flags, reason))
    without = []
    for left in curves:
        rest = [c for c in curves if c is not left]
        near = _by_minima(rest, budgets).exponent.value if budgets else None
        far = _by_quadratic(rest)
        if near is None and far is not None and quadratic is not None:
            near = value + far - quadratic
        if near is None:
            reason = f"no interval: nothing is left without {left.params:.3g} parameters"
            return replace(found, flags=(*found.flags, reason))
        without.append((left.params, near))
    values = np.array([v for _, v in without])
    n = len(values)
    error = float(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()))
    half = float(special.stdtrit(n - 2, 0.975)) * error
    exponent = Estimate(value, value - half, value + half)
    return replace(found, exponent=exponent, without=tuple(without))


def _by_minima(curves: Sequence[Curve], budgets: int) -> IsoFlop:
    n = len(curves)
    if n < FEWEST:
        return IsoFlop((), n, status=f"too few sizes ({n} < {FEWEST})")
    # Between the third-lowest start and the third-highest end at least three curves overlap.
    low = sorted(c.compute.min() for c in curves)[FEWEST - 1]
    high = sorted((c.compute.max() for c in curves), reverse=True)[FEWEST - 1]
    if not 0 < low < high:
        return IsoFlop((), n, status="too few sizes share a budget")
    rows = at_budgets(curves, np.geomspace(low, high, budgets))
    return isoflop(*rows)


def isoflop(budget: ArrayLike, n_params: ArrayLike, y: ArrayLike) -> IsoFlop:
    """Return the minima over N at each budget (equal budgets share a parabola) and the exponent.

    A minimum at or outside the smallest or largest N tried is an "edge minimum" and is left out.
    Rows do not say which training they come from, so that there is no interval.
    """
    c, n, v = (np.asarray(a, float) for a in (budget, n_params, y))
    minima = tuple(_minimum(float(b), n[c == b], v[c == b]) for b in np.unique(c[np.isfinite(c)]))
    inside = [m for m in minima if m.status == "ok" and m.best_n is not None]
    sizes = len(np.unique(n))
    if len(inside) < FEWEST:
        status = f"too few budgets with a minimum inside ({len(inside)} < {FEWEST})"
        return IsoFlop(minima, sizes, status=status)
    slope = np.polyfit(
        np.log([m.budget for m in inside]), np.log([float(m.best_n or 1) for m in inside]), 1
    )[0]
    return IsoFlop(minima, sizes, Estimate(float(slope)))


def _by_quadratic(curves: Sequence[Curve]) -> float | None:
    """Return the exponent of the minima of a quadratic in ln N and ln C through all readings.

    Each curve weighs the same, however often it was read.
    """
    if len(curves) < FEWEST:
        return None
    u = np.log(np.concatenate([np.full(len(c.compute), c.params) for c in curves]))
    w = np.log(np.concatenate([c.compute for c in curves]))
    weight = np.concatenate([np.full(len(c.compute), len(c.compute) ** -0.5) for c in curves])
    v = np.log(np.concatenate([c.y for c in curves]))
    u = u - u.mean()
    w = w - w.mean()
    columns = np.column_stack([u**2, u * w, u, w, w**2, np.ones_like(u)])
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        return None
    found = np.linalg.lstsq(columns * weight[:, None], v * weight, rcond=None)[0]
    return None if found[0] <= 0 else float(-found[1] / (2 * found[0]))


def _minimum(budget: float, n: Array, y: Array) -> Minimum:
    good = np.isfinite(n) & np.isfinite(y) & (n > 0) & (y > 0)
    n = n[good]
    y = y[good]
    if len(np.unique(n)) < FEWEST:
        few = f"too few sizes ({len(np.unique(n))} < {FEWEST})"
        return Minimum(budget, len(n), None, None, few)
    u = np.log(n)
    a, b, c = np.polyfit(u - u.mean(), np.log(y), 2)
    if a <= 0:
        return Minimum(budget, len(n), None, None, "no minimum: the parabola opens downwards")
    vertex = float(-b / (2 * a)) + u.mean()
    if not u.min() < vertex < u.max():
        return Minimum(budget, len(n), None, None, "edge minimum")
    near = min(vertex - u.min(), u.max() - vertex) < EDGE * np.ptp(u)
    height = float(np.exp(c - b**2 / (4 * a)))
    return Minimum(budget, len(n), float(np.exp(vertex)), height, "edge minimum" if near else "ok")


def at_budgets(curves: Sequence[Curve], budgets: ArrayLike) -> tuple[Array, Array, Array]:
    """Return (budget, N, y) rows: each curve interpolated in log-log, never extrapolated."""
    rows = []
    for curve in curves:
        order = np.argsort(curve.compute)
        x = np.log(curve.compute[order])
        v = np.log(curve.y[order])
        for b in np.asarray(budgets, float):
            if len(x) > 1 and curve.compute.min() <= b <= curve.compute.max():
                rows.append((b, curve.params, float(np.exp(np.interp(np.log(b), x, v)))))
    table = np.array(rows, float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
