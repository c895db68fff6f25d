"""Crossings: where the second line falls below the first, by a parametric bootstrap of runs.

Both axes are logarithmic where the values allow. A training lies above or below its line as a
whole, by the noise between trainings, with Student's degrees of freedom of trainings; each reading
lies beside it by the noise of its samples. The crossing's interval is that of such moved lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.claims.finding import Finding, against, bounds_of
from analysis.claims.rows import rows_of
from analysis.claims.values import Values, values_of
from analysis.noise.decide import Part, verdict_of
from analysis.noise.model import Mean, Training
from analysis.select.repeats import training_keys, trainings_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import CrossingClaim

DRAWS = 2000
SEED = 8  # of every bootstrap, so that a claim has one interval


@dataclass(frozen=True, slots=True)
class Line:
    """One line: points on a logarithmic x and the model's scale, and the noise of the whole."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sample_sd: NDArray[np.float64]
    """Standard deviation of each point by the choice of samples, 0 where unknown."""
    whole: Mean
    """The line's trainings as a mean: its variance moves the line as a whole."""


def judge(claim: CrossingClaim, source: Source) -> Finding:
    """Judge the crossing of the two lines by its bounds."""
    first = rows_of(claim, source, keep=(claim.x,), where=claim.first)
    second = rows_of(claim, source, keep=(claim.x,), where=claim.second)
    both = pd.concat([first.frame, second.frame], ignore_index=True)
    values = values_of(claim, source, both)
    undecided = (
        Finding(
            "UNDECIDED",
            quantity=f"{claim.x} at which the lines cross",
            bound=bounds_of(claim) or "they cross",
            n=both["run_id"].nunique(),
        )
        .with_noise(values)
        .about(first, second)
    )
    lines = [line_of(claim, part.frame, values) for part in (first, second)]
    low = max(line.x[0] for line in lines)
    high = min(line.x[-1] for line in lines)
    if not low < high:
        reason = (
            f"the two lines share no range of {claim.x}; more training points under "
            f"`at:` in `evaluate:` and `ditlab run {source.name}` make one"
        )
        return replace(undecided, reason=reason)
    return found_of(claim, undecided, lines, np.random.default_rng(SEED))


def line_of(claim: CrossingClaim, rows: pd.DataFrame, values: Values) -> Line:
    """Return a line: at each x the mean over its trainings, and the noise of those trainings."""
    scale = values.model.scale
    groups = list(rows.groupby(claim.x))
    points = [values.mean(group) for _, group in groups]
    x = np.log([float(value) for value, _ in groups])
    known = [trainings_of(group, claim.metric, scale) for _, group in groups]
    sample_sd = np.array([_sample_sd(trainings) for trainings in known])
    y = np.array([point.value for point in points])
    levels = rows[claim.metric].map(values.model.number) - np.interp(
        np.log(rows[claim.x].astype(float)), x, y
    )
    residuals = levels.groupby(training_keys(rows)).mean()
    whole = values.model.mean([Training(float(value)) for value in residuals])
    return Line(x, y, sample_sd, whole)


def _sample_sd(trainings: list[Training]) -> float:
    known = [t.sample_sd for t in trainings if t.sample_sd is not None]
    return float(np.sqrt(np.mean(np.square(known)) / len(trainings))) if known else 0.0


def found_of(
    claim: CrossingClaim, undecided: Finding, lines: list[Line], rng: np.random.Generator
) -> Finding:
    """Return the finding on two lines that share a range of x."""
    grid = _knots(lines)
    gap = _gap(lines, grid, None)
    at = float(crossings(grid, gap[None])[0])
    draws = crossings(grid, _gap(lines, grid, rng))
    tail = (1 - claim.level) / 2
    low, high = (float(q) for q in np.quantile(draws, (tail, 1 - tail), method="nearest"))
    ends = (float(np.exp(grid[0])), float(np.exp(grid[-1])))
    if not np.isfinite(at):
        return _without_crossing(claim, undecided, ends, above=at > 0, surely=low == np.inf)
    is_inside = bool(np.isfinite(low) and np.isfinite(high))
    part: Part = "holds" if is_inside else "open"
    if bounds_of(claim):
        part = against(claim, float(np.exp(low)), float(np.exp(high)))
    reason = "" if is_inside else "the noise reaches the end of the measured range"
    return replace(
        undecided,
        verdict=verdict_of([part]),
        estimate=float(np.exp(at)),
        low=float(np.exp(max(low, grid[0]))),
        high=float(np.exp(min(high, grid[-1]))),
        reason=reason,
    )


def _knots(lines: list[Line]) -> NDArray[np.float64]:
    """Return the points of both lines within their shared range: between them the gap is linear."""
    low = max(line.x[0] for line in lines)
    high = min(line.x[-1] for line in lines)
    points = np.unique(np.concatenate([[low, high], *(line.x for line in lines)]))
    shared: NDArray[np.float64] = points[(points >= low) & (points <= high)]
    return shared


def _gap(
    lines: list[Line], grid: NDArray[np.float64], rng: np.random.Generator | None
) -> NDArray[np.float64]:
    """Return the second line minus the first at the knots, (knots,); with `rng` (DRAWS, knots)."""
    moved = []
    for line in lines:
        y = line.y
        if rng is not None:
            of_samples = line.sample_sd * rng.standard_normal((DRAWS, len(line.x)))
            of_training = np.sqrt(line.whole.variance) * rng.standard_t(line.whole.df, (DRAWS, 1))
            y = y + of_samples + of_training
        moved.append(_interpolated(line.x, y, grid))
    return moved[1] - moved[0]


def _interpolated(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return y (…, points) at the knots, linear between the points."""
    if len(x) == 1:
        return np.repeat(y, len(grid), axis=-1)
    right = np.clip(np.searchsorted(x, grid, side="right"), 1, len(x) - 1)
    share = (grid - x[right - 1]) / (x[right] - x[right - 1])
    return y[..., right - 1] * (1 - share) + y[..., right] * share


def crossings(grid: NDArray[np.float64], gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each gap (draws, knots) turns negative and stays so.

    -inf where the second line is below all along, inf where it is not below at the end.
    """
    below = gap < 0
    last = gap.shape[1] - 1 - np.argmax(~below[:, ::-1], axis=1)  # the last knot not below
    rows = np.arange(len(gap))
    after = np.minimum(last + 1, gap.shape[1] - 1)
    here = gap[rows, last]
    fall = here - gap[rows, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = grid[last] + (grid[after] - grid[last]) * here / fall
    at = np.where(below.all(axis=1), -np.inf, at)
    return np.where(below[:, -1], at, np.inf)


def _without_crossing(
    claim: CrossingClaim,
    found: Finding,
    ends: tuple[float, float],
    *,
    above: bool,
    surely: bool,
) -> Finding:
    """Return the finding on two lines that do not cross where both were measured.

    It is a refutation where the second line is surely above the first beyond `at_most`.
    """
    low, high = ends
    reason = (
        f"they do not cross between {low:.3g} and {high:.3g}: the second line is "
        f"{'above' if above else 'below'} the first there"
    )
    is_past_bound = claim.at_most is not None and claim.at_most <= high
    refuted = above and surely and is_past_bound
    return replace(found, verdict="REFUTED" if refuted else "UNDECIDED", reason=reason)
