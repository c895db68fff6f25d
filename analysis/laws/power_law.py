"""The power law with offset, y = offset + scale x^-exponent, over one column.

The values are those of a Huber loss on log y (`power_terms`); the intervals are profiles: all
offsets (or exponents) whose best fit leaves hardly more squares than the best of all. A profile can
hold an offset of 0, which an interval on the scale of log(offset) never does. How much "hardly
more" is follows the residuals: more where they belong together by size or by patch (`clusters`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws.clusters import bend, errors_of, kernels_of
from analysis.laws.data.estimate import NO_ESTIMATE, Estimate, HeldOut
from analysis.laws.data.means import Means, means_of
from analysis.laws.data.unfit import unfit
from analysis.laws.power_terms import DEEPEST, EXPONENTS, Problem, best, solve

Array = NDArray[np.float64]
SETTLED = 1e-4
SQUARES = 1e9  # Huber's delta that makes the loss a sum of squares
GRID = 61
FEWEST = 5


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = offset + scale x^-exponent; None and a status where the data do not carry it."""

    n: int
    """Configurations: seeds of one are averaged first."""
    offset: Estimate = NO_ESTIMATE
    scale: Estimate = NO_ESTIMATE
    exponent: Estimate = NO_ESTIMATE
    status: str = "ok"
    flags: tuple[str, ...] = ()
    held_out: HeldOut | None = None
    theta: tuple[float, ...] = field(default=(), repr=False)

    def at(self, x: ArrayLike) -> Array:
        """Return the law's y at x; raises ValueError where there is no law."""
        values = (self.offset.value, self.scale.value, self.exponent.value)
        if values[0] is None or values[1] is None or values[2] is None:
            raise ValueError(f"there is no law: {self.status}")
        return values[0] + values[1] * np.asarray(x, float) ** -values[2]


def power_law(
    x: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    clusters: Sequence[ArrayLike] = (),
    level: float = 0.95,
    held_out: bool = True,
) -> PowerLaw:
    """Return the law through x (n,) > 0 and y (n,) > 0; the largest x is held out once.

    `groups` (n,) names each point's configuration, whose seeds are averaged first; each of
    `clusters` labels points that may deviate together. Fewer than five configurations, non-finite
    or non-positive values, or no variance give a status and no number.
    """
    data = means_of((x,), y, groups, clusters)
    status = unfit(data.columns, data.y, FEWEST, "configurations", positive=True)
    if status:
        return PowerLaw(len(data.y), status=status)
    problem = Problem.of(data.columns, data.y)
    theta, _, moved = best(problem)
    flags = _flags(problem, theta, moved)
    held = _hold_out(data, level) if held_out else None
    bad = next((f for f in ("not converged", "at a bound: exponent") if f in flags), None)
    if bad == "not converged":
        return PowerLaw(len(data.y), status=bad, flags=flags, held_out=held)
    offset, scale, exponent = _estimates(problem, theta, data.clusters, level)
    return PowerLaw(
        len(data.y), offset, scale, exponent, bad or "ok", flags, held, tuple(map(float, theta))
    )


def is_without_offset(problem: Problem, theta: Array) -> bool:
    """Return whether the offset is under 0.25 % of the smallest y: none can be told."""
    return bool(theta[0] <= problem.v.min() - 6)


def _flags(problem: Problem, theta: Array, moved: float) -> tuple[str, ...]:
    top = problem.bounds[1][0]
    flags = []
    if moved > SETTLED:
        flags.append("not converged")
    if is_without_offset(problem, theta):
        flags.append("at a bound: offset 0")
    if theta[0] >= top - 1e-6:
        flags.append("at a bound: offset is the smallest y")
    if theta[2] <= EXPONENTS[0] * 1.01 or theta[2] >= EXPONENTS[1] * 0.99:
        flags.append("at a bound: exponent")
    return tuple(flags)


def _estimates(
    problem: Problem, theta: Array, clusters: Sequence[ArrayLike], level: float
) -> tuple[Estimate, Estimate, Estimate]:
    squares = _least_squares(problem, theta)
    reach = _reaches(problem, squares, clusters, level)
    low = float(np.exp(problem.v.min()))
    none = is_without_offset(problem, theta)
    offsets = low * np.linspace(0.0, 1.2, GRID)
    heights = np.log(np.maximum(offsets, np.exp(low_end(problem))))
    offset = _profile(problem, squares, 0, heights, reach[0])
    step = max(reach[2] * _error(problem, squares, 2), 1e-3)
    exponents = np.clip(squares[2] + step * np.linspace(-4.0, 4.0, GRID), *EXPONENTS)
    exponent = _profile(problem, squares, 2, np.unique(exponents), reach[2])
    scale = float(np.exp(theta[1] + theta[2] * problem.centre[0]))
    ends = [None if v is None else float(np.exp(v)) for v in offset]
    if ends[0] is not None and is_without_offset(problem, np.array([offset[0]])):
        ends[0] = 0.0
    return (
        _around(0.0 if none else float(np.exp(theta[0])), ends[0], ends[1]),
        Estimate(scale),
        _around(float(theta[2]), *exponent),
    )


def low_end(problem: Problem) -> float:
    """Return the log offset that is nothing beside the smallest y."""
    return float(problem.v.min()) - DEEPEST


def _around(value: float, low: float | None, high: float | None) -> Estimate:
    """Return an estimate whose interval holds its value; without an interval where an end lacks."""
    if low is None or high is None:
        return Estimate(value)
    return Estimate(value, min(low, value), max(high, value))


def _least_squares(problem: Problem, theta: Array) -> Array:
    """Return the parameters of least squares, searched from the robust ones and from offset 0."""
    starts = np.array([theta, [low_end(problem), theta[1], theta[2]]])
    weight = np.ones((len(starts), len(problem.v)))
    found, loss, _ = solve(problem, starts, weight, SQUARES, 150)
    return np.asarray(found[int(np.argmin(loss))], float)


def jacobian(theta: Array, u: Array) -> Array:
    """Return d log y / d (offset, a, exponent) (n, 3) at centred log x u (n,)."""
    power = np.exp(theta[1] - theta[2] * u)
    total = np.exp(theta[0]) + power
    return np.stack([1 / total, power / total, -u * power / total], 1)


def _residual(problem: Problem, theta: Array) -> Array:
    u = problem.u[:, 0]
    return np.asarray(problem.v - np.logaddexp(theta[0], theta[1] - theta[2] * u))


def _error(problem: Problem, theta: Array, index: int) -> float:
    """Return the standard error of a parameter, residuals taken as independent."""
    columns = jacobian(theta, problem.u[:, 0])
    residual = _residual(problem, theta)
    scale = float(residual @ residual) / (len(residual) - 3)
    return float(np.sqrt(scale) * np.linalg.norm(np.linalg.pinv(columns)[index]))


def _reaches(
    problem: Problem, theta: Array, clusters: Sequence[ArrayLike], level: float
) -> list[float]:
    """Return for each parameter half its interval in standard errors, the fit linearised."""
    columns = jacobian(theta, problem.u[:, 0])
    errors = errors_of(columns, _residual(problem, theta), kernels_of(clusters))
    rows = np.linalg.pinv(columns)
    tiny = 1e-300
    return [
        errors.half(row, level) / max(_error(problem, theta, k), tiny) for k, row in enumerate(rows)
    ]


def _profile(
    problem: Problem, theta: Array, index: int, values: Array, reach: float
) -> tuple[float | None, float | None]:
    """Return the ends of the values that leave hardly more squares than the best, None: open.

    The lowest value of the grid is an end of its own: no offset can be less than none.
    """
    starts = np.repeat(theta[None], len(values), 0)
    starts[:, index] = values
    weight = np.ones((len(values), len(problem.v)))
    loss = solve(problem, starts, weight, SQUARES, 80, fixed=index)[1]
    residual = _residual(problem, theta)
    least = min(float(residual @ residual) / 2, float(loss.min()))
    inside = np.flatnonzero(loss <= least * (1 + reach**2 / (len(residual) - 3)) + 1e-18)
    if not len(inside):  # the data lie on the law: the interval is narrower than the grid
        at = int(np.argmin(loss))
        inside = np.array([at])
    first = max(int(inside[0]) - 1, 0)
    last = int(inside[-1]) + 1
    if last >= len(values) or (index == 2 and inside[0] == 0):
        return None, None
    return float(values[first if inside[0] else 0]), float(values[last])


def _hold_out(data: Means, level: float) -> HeldOut | None:
    x = data.columns[:, 0]
    out = x == x.max()
    actual = float(np.exp(np.log(data.y[out]).mean()))
    top = float(x.max())
    kept = int((~out).sum())
    if kept < FEWEST - 1:
        return HeldOut(top, actual, None, None, None)
    problem = Problem.of(data.columns[~out], data.y[~out])
    theta, _, _ = best(problem)
    u = np.append(problem.u[:, 0], np.log(top) - problem.centre[0])
    centre = float(np.logaddexp(theta[0], theta[1] - theta[2] * u[-1]))
    columns = jacobian(theta, u)[:, int(is_without_offset(problem, theta)) :]
    order = [*np.flatnonzero(~out), int(np.flatnonzero(out)[0])]
    labels = [np.asarray(c)[order] for c in data.clusters]
    kernels = [*kernels_of(labels), *bend(columns, u, kept)]
    errors = errors_of(columns[:-1], _residual(problem, theta), kernels)
    half = errors.half(np.append(columns[-1] @ np.linalg.pinv(columns[:-1]), -1.0), level)
    value, low, high = (
        float(np.exp(min(v, 700.0))) for v in (centre, centre - half, centre + half)
    )
    return HeldOut(top, actual, value, low, high, top / float(x[~out].max()))
