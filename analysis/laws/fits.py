"""Fits of scaling laws.

Pure: arrays and a random generator in, frozen results with a status out; numbers or flags.

A fit that cannot be trusted says so in `status` ("too few points", "not converged", "at a bound",
"edge minimum") and holds None where a number would mislead. Intervals of the Huber fits are
Student's with the spread of a bootstrap by random weights over configurations (Rubin 1981):
resampling whole points loses the ends of a short x axis, where the exponent is decided.
`benchmarks/fit_coverage.py` simulates studies and prints bias and coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.laws.power_terms import DELTA, EXPONENTS, Problem, best, model, solve

Array = NDArray[np.float64]
RESAMPLES = 300
SETTLED = 1e-4


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; all None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def words(self, digits: int = 3) -> str:
        """Return "0.365 (0.28 to 0.48)" or "none"."""
        if self.value is None:
            return "none"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}g}"
        return f"{self.value:.{digits}g} ({self.low:.{digits}g} to {self.high:.{digits}g})"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The largest model predicted from all others: the honest error of a law."""

    x: float
    actual: float
    predicted: float | None
    low: float | None
    high: float | None

    @property
    def inside(self) -> bool | None:
        """Return whether the actual value lies in the prediction interval."""
        return (
            None if self.low is None or self.high is None else self.low <= self.actual <= self.high
        )

    @property
    def error(self) -> float | None:
        """Return the relative error of the prediction."""
        return None if self.predicted is None else self.predicted / self.actual - 1


@dataclass(frozen=True, slots=True)
class Line:
    """y = intercept + slope x by ordinary least squares; numbers are None where `status` says
    why.
    """

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


@dataclass(frozen=True, slots=True)
class Law:
    """y = offset + sum of scale_k x_k^-exponent_k; None and a status where the data do not carry
    it.
    """

    n: int
    offset: Estimate = Estimate()
    scales: tuple[Estimate, ...] = ()
    exponents: tuple[Estimate, ...] = ()
    loss: float | None = None
    status: str = "ok"
    flags: tuple[str, ...] = ()
    held_out: HeldOut | None = None
    theta: tuple[float, ...] = field(default=(), repr=False)

    def at(self, *xs: ArrayLike) -> Array:
        """Return the law's y at x (one array per term); raises ValueError where there is no law."""
        if self.offset.value is None:
            raise ValueError(f"there is no law: {self.status}")
        total = np.full(np.shape(xs[0]), self.offset.value, float)
        for scale, exponent, x in zip(self.scales, self.exponents, xs, strict=True):
            total = total + float(scale.value or 0) * np.asarray(x, float) ** -float(
                exponent.value or 0
            )
        return total


def ols(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Line:
    """Return the least-squares line through x (n,), y (n,) with Student's interval of the slope (n
    >= 3).
    """
    xs = np.asarray(x, float)
    ys = np.asarray(y, float)
    status = _unfit(xs[:, None] if xs.ndim == 1 else xs, ys, 3)
    if status:
        return Line(len(xs), None, None, None, status=status)
    found = stats.linregress(xs, ys)
    half = float(stats.t.ppf((1 + level) / 2, len(xs) - 2) * found.stderr)
    slope = float(found.slope)
    intercept = float(found.intercept)
    return Line(len(xs), slope, intercept, float(found.rvalue) ** 2, slope - half, slope + half)


def power_law(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    delta: float = DELTA,
    resamples: int = RESAMPLES,
    held_out: bool = True,
) -> Law:
    """Return y = offset + scale x^-exponent by a Huber loss on log y, for x (n,) > 0 and y (n,) >
    0.

    `groups` (n,) names each point's configuration, whose seeds are weighted together. The largest x
    is held out once and predicted from the rest. Fewer than five configurations, non-finite or
    non-positive values, or no variance give a status and no number.
    """
    return _terms(
        (np.asarray(x, float),),
        np.asarray(y, float),
        rng,
        groups,
        level,
        delta,
        resamples,
        held_out,
    )


def surface(
    n_params: ArrayLike,
    n_data: ArrayLike,
    loss: ArrayLike,
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    delta: float = DELTA,
    resamples: int = RESAMPLES,
    held_out: bool = True,
) -> Law:
    """Return L(N, D) = offset + A N^-alpha + B D^-beta; terms in the order N, D.

    Needs seven configurations.

    D is images seen (or tokens: say which); the largest N D is held out once.
    """
    xs = (np.asarray(n_params, float), np.asarray(n_data, float))
    return _terms(xs, np.asarray(loss, float), rng, groups, level, delta, resamples, held_out)


def _terms(
    xs: tuple[Array, ...],
    y: Array,
    rng: np.random.Generator,
    groups: ArrayLike | None,
    level: float,
    delta: float,
    resamples: int,
    held_out: bool,
) -> Law:
    columns = np.stack(xs, 1) if len({len(x) for x in (*xs, y)}) == 1 else np.empty((0, len(xs)))
    if len(columns) != len(y):
        raise ValueError(f"columns of different length: {[len(x) for x in xs]} and {len(y)}")
    codes = _codes(groups, len(y))
    parameters = 1 + 2 * len(xs)
    status = _unfit(columns, y, parameters + 2, configurations=len(np.unique(codes)), positive=True)
    if status:
        return Law(len(y), status=status)
    problem = Problem.of(columns, y)
    theta, loss, moved = best(problem, delta)
    flags = _flags(problem, theta, moved)
    draws = _reweighted(problem, theta, codes, rng, resamples, delta)
    df = len(np.unique(codes)) - parameters
    offset, scales, exponents = _estimates(
        problem, theta, draws, df, level, "at a bound: offset 0" in flags
    )
    held = _hold_out(columns, y, codes, rng, level, delta, resamples) if held_out else None
    bad = next((f for f in ("not converged", "at a bound: exponent") if f in flags), None)
    if bad == "not converged":
        return Law(len(y), status=bad, flags=flags)
    return Law(
        len(y), offset, scales, exponents, loss, bad or "ok", flags, held, tuple(map(float, theta))
    )


def _flags(problem: Problem, theta: Array, moved: float) -> tuple[str, ...]:
    top = problem.bounds[1][0]
    flags = []
    if moved > SETTLED:
        flags.append("not converged")
    if theta[0] <= problem.v.min() - 6:  # under 0.25 % of the smallest y: no offset can be told
        flags.append("at a bound: offset 0")
    if theta[0] >= top - 1e-6:
        flags.append("at a bound: offset is the smallest y")
    if (theta[2::2] <= EXPONENTS[0] * 1.01).any() or (theta[2::2] >= EXPONENTS[1] * 0.99).any():
        flags.append("at a bound: exponent")
    return tuple(flags)


def _reweighted(
    problem: Problem,
    theta: Array,
    codes: NDArray[np.intp],
    rng: np.random.Generator,
    resamples: int,
    delta: float,
) -> Array:
    """Return (R, P): the fit under R random positive weights, one weight per configuration.

    The draws are widened about the fit by sqrt(n / (n - P)): a fit draws its own points to itself,
    and residuals are that much smaller than the noise.
    """
    n = int(codes.max()) + 1
    resamples = min(
        resamples, max(60, 30_000 // n)
    )  # many points need fewer draws than a dozen, and cost more each
    weights = rng.exponential(1.0, (resamples, n))[:, codes]
    draws = solve(problem, np.repeat(theta[None], resamples, 0), weights, delta, 80)[0]
    return theta + (draws - theta) * np.sqrt(n / (n - len(theta)))


def _estimates(
    problem: Problem, theta: Array, draws: Array, df: int, level: float, no_offset: bool
) -> tuple[Estimate, tuple[Estimate, ...], tuple[Estimate, ...]]:
    reach = float(stats.t.ppf((1 + level) / 2, df))

    def interval(value: float, sample: Array) -> tuple[float, float]:
        half = reach * _spread(sample)
        return value - half, value + half

    low, high = interval(theta[0], draws[:, 0])
    offset = (
        Estimate(0.0, 0.0, float(np.exp(problem.v.min())))
        if no_offset
        else _raised(theta[0], low, high)
    )
    scales = []
    exponents = []
    for k, centre in enumerate(problem.centre):
        a = theta[1 + 2 * k]
        alpha = theta[2 + 2 * k]
        moved_a = draws[:, 1 + 2 * k] + draws[:, 2 + 2 * k] * centre
        scales.append(_raised(a + alpha * centre, *interval(a + alpha * centre, moved_a)))
        exponents.append(Estimate(float(alpha), *map(float, interval(alpha, draws[:, 2 + 2 * k]))))
    return offset, tuple(scales), tuple(exponents)


def _raised(value: float, low: float, high: float) -> Estimate:
    return Estimate(*(float(np.exp(min(v, 700.0))) for v in (value, low, high)))


def _hold_out(
    columns: Array,
    y: Array,
    codes: NDArray[np.intp],
    rng: np.random.Generator,
    level: float,
    delta: float,
    resamples: int,
) -> HeldOut | None:
    largest = codes[int(np.argmax(np.log(columns).sum(1)))]
    out = codes == largest
    actual = float(np.exp(np.log(y[out]).mean()))
    at = columns[out][0]
    kept = len(np.unique(codes[~out]))
    parameters = 1 + 2 * columns.shape[1]
    if kept < parameters + 1:
        return HeldOut(float(at.prod()), actual, None, None, None)
    problem = Problem.of(columns[~out], y[~out])
    theta, _, _ = best(problem, delta)
    rest = _codes(codes[~out], int((~out).sum()))
    draws = _reweighted(problem, theta, rest, rng, resamples, delta)
    u = (np.log(at) - problem.centre)[None]
    centre = float(model(theta[None], u)[0][0, 0])
    curve = model(draws, u)[0][:, 0]
    residual = model(theta[None], problem.u)[0][0] - problem.v
    scatter = (
        1.4826
        * float(np.median(np.abs(residual)))
        * np.sqrt(len(residual) / (len(residual) - parameters))
    )
    half = float(stats.t.ppf((1 + level) / 2, kept - parameters)) * float(
        np.hypot(_spread(curve), scatter)
    )
    ends = (float(np.exp(min(v, 700.0))) for v in (centre, centre - half, centre + half))
    return HeldOut(float(at.prod()), actual, *ends)


def _codes(groups: ArrayLike | None, n: int) -> NDArray[np.intp]:
    if groups is None:
        return np.arange(n)
    return np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]


def _spread(values: Array) -> float:
    low, high = np.quantile(values, [0.15866, 0.84134])
    return float(high - low) / 2


def _unfit(
    columns: Array, y: Array, fewest: int, configurations: int | None = None, positive: bool = False
) -> str:
    if len(columns) != len(y):
        raise ValueError(f"x holds {len(columns)} values and y {len(y)}")
    if not (np.isfinite(columns).all() and np.isfinite(y).all()):
        return "not finite"
    n = len(y) if configurations is None else configurations
    if n < fewest:
        return f"too few points ({n} < {fewest})"
    if positive and ((columns <= 0).any() or (y <= 0).any()):
        return "not positive"
    for column in (*columns.T, y) if positive else columns.T:
        if np.ptp(column) <= 1e-12 * max(1e-300, float(np.abs(column).max())):
            return "zero variance"
    return ""
