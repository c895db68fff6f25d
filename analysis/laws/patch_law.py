"""The patch-aware law and isoFLOP minima: what a single curve over forward compute cannot say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.laws.fits import Estimate, HeldOut, Line, ols

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PatchLaw:
    """ln y = c0 + c1 ln G + c2 ln p + c3 ln G ln p: a power of forward compute whose exponent
    depends on the patch.

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
        columns = _design(
            np.log(np.asarray(gmacs, float)),
            np.log(np.asarray(patch, float)),
            len(self.coefficients),
        )
        return np.exp(columns @ np.array([c.value for c in self.coefficients], float))

    def exponent(self, patch: float) -> float:
        """Return d ln y / d ln G at one patch size."""
        values = [float(c.value or 0) for c in self.coefficients]
        return values[1] + (values[3] * float(np.log(patch)) if len(values) > 3 else 0.0)


_NAMES = ("constant", "ln G", "ln patch", "ln G x ln patch")


def patch_law(gmacs: ArrayLike, patch: ArrayLike, y: ArrayLike, level: float = 0.95) -> PatchLaw:
    """Return the patch-aware law by least squares on ln y, with Student's intervals and the largest
    G held out.

    Needs six points of two patch sizes, all positive and finite; otherwise a status and no number.
    """
    g, p, v = (np.asarray(a, float) for a in (gmacs, patch, y))
    if not len(g) == len(p) == len(v):
        raise ValueError(f"columns of different length: {len(g)}, {len(p)}, {len(v)}")
    if not all(np.isfinite(a).all() for a in (g, p, v)):
        return PatchLaw(len(v), status="not finite")
    if any((a <= 0).any() for a in (g, p, v)):
        return PatchLaw(len(v), status="not positive")
    if len(v) < 6:
        return PatchLaw(len(v), status=f"too few points ({len(v)} < 6)")
    if len(np.unique(p)) < 2 or len(np.unique(g)) < 3 or np.ptp(np.log(v)) == 0:
        return PatchLaw(len(v), status="zero variance")
    lg = np.log(g)
    lp = np.log(p)
    lv = np.log(v)
    full = _least_squares(_design(lg, lp, 4), lv)
    if full is None:
        return PatchLaw(len(v), status="patch and compute cannot be told apart")
    beta, cov, df = full
    reach = float(stats.t.ppf((1 + level) / 2, df))
    half = reach * np.sqrt(np.diag(cov))
    coefficients = tuple(
        Estimate(float(b), float(b - h), float(b + h)) for b, h in zip(beta, half, strict=True)
    )
    return PatchLaw(
        len(v),
        coefficients,
        _NAMES,
        "ok",
        _predict_largest(lg, lp, lv, 4, level),
        _predict_largest(lg, lp, lv, 2, level),
    )


def _design(lg: Array, lp: Array, terms: int) -> Array:
    lg, lp = np.broadcast_arrays(lg, lp)
    return np.stack([np.ones_like(lg), lg, lp, lg * lp][:terms], -1)


def _least_squares(columns: Array, v: Array) -> tuple[Array, Array, int] | None:
    n, terms = columns.shape
    if n <= terms or np.linalg.matrix_rank(columns) < terms:
        return None
    beta, *_ = np.linalg.lstsq(columns, v, rcond=None)
    residual = v - columns @ beta
    df = n - terms
    return beta, np.linalg.inv(columns.T @ columns) * float(residual @ residual) / df, df


def _predict_largest(lg: Array, lp: Array, lv: Array, terms: int, level: float) -> HeldOut:
    out = lg == lg.max()
    at = _design(lg, lp, terms)[out][0]
    actual = float(np.exp(lv[out].mean()))
    found = _least_squares(_design(lg[~out], lp[~out], terms), lv[~out])
    x = float(np.exp(lg.max()))
    if found is None:
        return HeldOut(x, actual, None, None, None)
    beta, cov, df = found
    residual = lv[~out] - _design(lg[~out], lp[~out], terms) @ beta
    noise = float(residual @ residual) / df
    centre = float(at @ beta)
    half = float(stats.t.ppf((1 + level) / 2, df)) * float(np.sqrt(at @ cov @ at + noise))
    return HeldOut(x, actual, *(float(np.exp(v)) for v in (centre, centre - half, centre + half)))


@dataclass(frozen=True, slots=True)
class Minimum:
    """The best model size at one compute budget, by a parabola in ln N; None where `status` says
    why.
    """

    budget: float
    n: int
    best_n: float | None
    best_y: float | None
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class IsoFlop:
    """Minima by budget and the law N_opt = k C^a through those that are inside their grid."""

    minima: tuple[Minimum, ...]
    exponent: Estimate
    line: Line

    @property
    def status(self) -> str:
        """Return the status of the law over budgets."""
        return self.line.status


def isoflop(budget: ArrayLike, n_params: ArrayLike, y: ArrayLike) -> IsoFlop:
    """Return the minima over N at each budget (equal budgets share a parabola) and the law through
    them.

    A minimum at or outside the smallest or largest N tried is an "edge minimum" and is left out of
    the law.
    """
    c, n, v = (np.asarray(a, float) for a in (budget, n_params, y))
    minima = tuple(_minimum(float(b), n[c == b], v[c == b]) for b in np.unique(c[np.isfinite(c)]))
    inside = [m for m in minima if m.status == "ok" and m.best_n is not None]
    line = ols(np.log([m.budget for m in inside]), np.log([float(m.best_n or 1) for m in inside]))
    return IsoFlop(minima, _unequal(line, inside), line)


def _unequal(line: Line, minima: list[Minimum]) -> Estimate:
    """Return the slope with an interval that allows for minima of unequal precision (HC3; Long &
    Ervin 2000).
    """
    if line.slope is None:
        return Estimate()
    u = np.log([m.budget for m in minima])
    v = np.log([float(m.best_n or 1) for m in minima])
    if len(u) < 4:
        return Estimate(line.slope, line.slope_low, line.slope_high)
    du = u - u.mean()
    leverage = 1 / len(u) + du**2 / (du**2).sum()
    residual = (v - line.at(u)) / (1 - leverage)
    half = (
        float(stats.t.ppf(0.975, len(u) - 2))
        * float(np.sqrt((du**2 * residual**2).sum()))
        / float((du**2).sum())
    )
    return Estimate(line.slope, line.slope - half, line.slope + half)


def _minimum(budget: float, n: Array, y: Array) -> Minimum:
    good = np.isfinite(n) & np.isfinite(y) & (n > 0) & (y > 0)
    n = n[good]
    y = y[good]
    if len(np.unique(n)) < 3:
        return Minimum(budget, len(n), None, None, f"too few points ({len(np.unique(n))} < 3)")
    u = np.log(n)
    a, b, c = np.polyfit(u - u.mean(), np.log(y), 2)
    if a <= 0:
        return Minimum(budget, len(n), None, None, "no minimum: the parabola opens downwards")
    vertex = float(-b / (2 * a)) + u.mean()
    if not u.min() < vertex < u.max():
        return Minimum(budget, len(n), None, None, "edge minimum")
    # Next to the edge the parabola is decided by one side only.
    near = min(vertex - u.min(), u.max() - vertex) < 0.1 * np.ptp(u)
    height = float(np.exp(c - b**2 / (4 * a)))
    return Minimum(budget, len(n), float(np.exp(vertex)), height, "edge minimum" if near else "ok")


def at_budgets(
    compute: list[ArrayLike], y: list[ArrayLike], n_params: ArrayLike, budgets: ArrayLike
) -> tuple[Array, Array, Array]:
    """Return (budget, N, y) rows: each model's curve interpolated in log-log at the budgets, never
    extrapolated.
    """
    rows = []
    for xs, ys, n in zip(compute, y, np.asarray(n_params, float), strict=True):
        x = np.asarray(xs, float)
        v = np.asarray(ys, float)
        order = np.argsort(x)
        for b in np.asarray(budgets, float):
            if len(x) > 1 and x.min() <= b <= x.max():
                rows.append(
                    (b, n, float(np.exp(np.interp(np.log(b), np.log(x[order]), np.log(v[order])))))
                )
    table = np.array(rows, float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
