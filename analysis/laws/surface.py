"""The loss surface L(N, D) = offset + A N^-alpha + B D^-beta over parameters and images seen.

Intervals are Student's, with the spread of a bootstrap by random weights over trainings (Rubin
1981): the points of one training are not independent, and resampling whole trainings loses the ends
of a short axis, where the exponents are decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from analysis.laws.data.estimate import NO_ESTIMATE, Estimate, HeldOut
from analysis.laws.data.means import means_of
from analysis.laws.data.unfit import unfit
from analysis.laws.power_terms import EXPONENTS, Problem, best, model, solve

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
RESAMPLES = 300
SETTLED = 1e-4
PARAMETERS = 5
FEWEST = PARAMETERS + 2


@dataclass(frozen=True, slots=True)
class Surface:
    """L(N, D); None and a status where the data do not carry it."""

    n: int
    """Trainings; seeds of one configuration are averaged first and count once."""
    offset: Estimate = NO_ESTIMATE
    alpha: Estimate = NO_ESTIMATE
    beta: Estimate = NO_ESTIMATE
    allocation: Estimate = NO_ESTIMATE
    """beta / (alpha + beta): the best N grows with compute to this power."""
    status: str = "ok"
    flags: tuple[str, ...] = ()
    held_out: HeldOut | None = None


@dataclass(frozen=True, slots=True)
class _Data:
    columns: Array
    y: Array
    codes: Codes

    def without(self, out: NDArray[np.bool_]) -> _Data:
        """Return the rows that are not left out."""
        codes = np.unique(self.codes[~out], return_inverse=True)[1]
        return _Data(self.columns[~out], self.y[~out], codes)


def surface(
    n_params: ArrayLike,
    n_data: ArrayLike,
    loss: ArrayLike,
    rng: np.random.Generator,
    *,
    trainings: ArrayLike | None = None,
    held_out: bool = True,
) -> Surface:
    """Return the surface through loss (n,) at N and D (images seen); needs seven trainings.

    `trainings` (n,) names the configuration of each point: its seeds are averaged at each D, and
    its points count as one training. The largest training is held out once, at its last D.
    """
    names = np.arange(len(np.asarray(loss))) if trainings is None else np.asarray(trainings)
    names = names.astype(str)
    points = zip(names, np.asarray(n_params), np.asarray(n_data), strict=True)
    rows = np.array([f"{name}|{size}|{seen}" for name, size, seen in points], dtype=str)
    found = means_of((n_params, n_data), loss, rows, (names,))
    codes = np.unique(found.clusters[0], return_inverse=True)[1]
    data = _Data(found.columns, found.y, codes)
    n = int(codes.max()) + 1 if len(codes) else 0
    status = unfit(data.columns, data.y, 0, positive=True) if n >= FEWEST else ""
    if n < FEWEST:
        status = f"too few trainings ({n} < {FEWEST})"
    if status:
        return Surface(n, status=status)
    fit = _fitted(data, rng, n)
    held = _hold_out(data, rng) if held_out else None
    return replace(fit, held_out=held)


def _fitted(data: _Data, rng: np.random.Generator, n: int) -> Surface:
    problem = Problem.of(data.columns, data.y)
    theta, _, moved = best(problem)
    flags = _flags(problem, theta, moved)
    if "not converged" in flags:
        return Surface(n, status="not converged", flags=flags)
    draws = _reweighted(problem, theta, data, rng)
    reach = float(special.stdtrit(n - _between(data), 0.975))
    share = theta[4] / (theta[2] + theta[4])
    shares = draws[:, 4] / np.maximum(draws[:, 2] + draws[:, 4], 1e-9)
    return Surface(
        n,
        _offset(problem, theta, draws, reach),
        _estimate(theta[2], draws[:, 2], reach),
        _estimate(theta[4], draws[:, 4], reach),
        _estimate(share, shares, reach),
        "at a bound: exponent" if "at a bound: exponent" in flags else "ok",
        flags,
    )


def _offset(problem: Problem, theta: Array, draws: Array, reach: float) -> Estimate:
    """Return the offset with an interval that can hold 0; none beyond the data."""
    value = float(np.exp(theta[0]))
    half = reach * _spread(np.exp(np.minimum(draws[:, 0], 700.0)))
    if value + half > float(np.exp(problem.v.min())) * 1.5:
        return Estimate(value)
    return Estimate(value, max(0.0, value - half), value + half)


def _estimate(value: float, draws: Array, reach: float) -> Estimate:
    half = reach * _spread(draws)
    return Estimate(float(value), float(value - half), float(value + half))


def _flags(problem: Problem, theta: Array, moved: float) -> tuple[str, ...]:
    flags = []
    if moved > SETTLED:
        flags.append("not converged")
    if theta[0] <= problem.v.min() - 6:  # under 0.25 % of the smallest y: no offset can be told
        flags.append("at a bound: offset 0")
    if (theta[2::2] <= EXPONENTS[0] * 1.01).any() or (theta[2::2] >= EXPONENTS[1] * 0.99).any():
        flags.append("at a bound: exponent")
    return tuple(flags)


def _between(data: _Data) -> int:
    """Return how many parameters differences between trainings must tell.

    Of trainings with several points, those points tell the two of D.
    """
    return PARAMETERS if len(data.y) == int(data.codes.max()) + 1 else PARAMETERS - 2


def _reweighted(problem: Problem, theta: Array, data: _Data, rng: np.random.Generator) -> Array:
    """Return (R, P): the fit under R random positive weights, one weight per training.

    The draws are widened about the fit by sqrt(n / (n - P)): a fit draws its own points to itself,
    and residuals are that much smaller than the noise. Many points need fewer draws than a dozen,
    and cost more each.
    """
    n = int(data.codes.max()) + 1
    resamples = min(RESAMPLES, max(60, 30_000 // n))
    weights = rng.exponential(1.0, (resamples, n))[:, data.codes]
    draws = solve(problem, np.repeat(theta[None], resamples, 0), weights, steps=80)[0]
    return np.asarray(theta + (draws - theta) * np.sqrt(n / (n - _between(data))))


def _hold_out(data: _Data, rng: np.random.Generator) -> HeldOut:
    size = np.log(data.columns).sum(1)
    last = int(np.argmax(size))
    out = data.codes == data.codes[last]
    at = data.columns[last]
    actual = float(data.y[last])
    rest = data.without(out)
    kept = int(rest.codes.max()) + 1
    beyond = float(np.exp((np.log(at) - np.log(rest.columns.max(0))).clip(0).max()))
    if kept < FEWEST - 1:
        return HeldOut(float(at.prod()), actual, None, None, None, beyond)
    problem = Problem.of(rest.columns, rest.y)
    theta, _, _ = best(problem)
    draws = _reweighted(problem, theta, rest, rng)
    u = (np.log(at) - problem.centre)[None]
    centre = float(model(theta[None], u)[0][0, 0])
    residual = model(theta[None], problem.u)[0][0] - problem.v
    scatter = 1.4826 * float(np.median(np.abs(residual))) * np.sqrt(kept / (kept - _between(rest)))
    reach = float(special.stdtrit(kept - _between(rest), 0.975))
    half = reach * float(np.hypot(_spread(model(draws, u)[0][:, 0]), scatter))
    value, low, high = (
        float(np.exp(min(v, 700.0))) for v in (centre, centre - half, centre + half)
    )
    return HeldOut(float(at.prod()), actual, value, low, high, beyond)


def _spread(values: Array) -> float:
    """Return half the middle 68 %: a standard deviation that outliers do not stretch."""
    low, high = np.quantile(values, [0.15866, 0.84134])
    return float(high - low) / 2
