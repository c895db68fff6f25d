"""Crossings: where the second line falls below the first, moved by the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.claims.finding import Finding, Part, against, bounds_of, verdict_of
from analysis.claims.groups import half_width
from analysis.claims.rows import rows_of
from analysis.select.noise import noise_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import CrossingClaim

_GRID = 2000  # points of the interpolation between the measured ones


@dataclass(frozen=True, slots=True)
class _Gap:
    """The second line minus the first, on a logarithmic grid over the range both were measured."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def judge(claim: CrossingClaim, source: Source) -> Finding:
    """Judge the crossing of the two interpolated lines by its bounds."""
    first = rows_of(claim, source, keep=(claim.x,), where=claim.first)
    second = rows_of(claim, source, keep=(claim.x,), where=claim.second)
    noise = noise_of(pd.concat([first.frame, second.frame]), claim.metric, (claim.x,))
    undecided = Finding(
        "UNDECIDED",
        quantity=f"{claim.x} at which the lines cross",
        bound=bounds_of(claim) or "they cross",
        n=len(first.frame) + len(second.frame),
        noise=noise.sd,
        source=noise.source,
    ).about(first, second)
    gap = _gap(claim, first.frame, second.frame)
    if gap is None:
        reason = (
            f"the two lines share no range of {claim.x}; more training points under "
            f"`at:` in `evaluate:` and `ditlab run {source.name}` make one"
        )
        return replace(undecided, reason=reason)
    half = half_width(noise, claim, 1, 1)
    at = _falls(gap, 0.0)
    if at is None:
        return _without_crossing(claim, undecided, gap, half)
    earliest = _falls(gap, -half)
    latest = _falls(gap, half)
    low = earliest or float(gap.x[0])
    high = latest or float(gap.x[-1])
    is_inside = bool(earliest and latest)
    part: Part = "holds" if is_inside else "open"
    if bounds_of(claim):
        part = against(claim, low, high)
    reason = "" if is_inside else "the noise reaches the end of the measured range"
    verdict = verdict_of([part])
    return replace(undecided, verdict=verdict, estimate=at, low=low, high=high, reason=reason)


def _gap(claim: CrossingClaim, first: pd.DataFrame, second: pd.DataFrame) -> _Gap | None:
    """Return the second line minus the first, None where they share no range of `x`."""
    lines = [rows.groupby(claim.x)[claim.metric].mean() for rows in (first, second)]
    low = max(line.index.min() for line in lines)
    high = min(line.index.max() for line in lines)
    if not low < high:
        return None
    x = np.geomspace(low, high, _GRID)
    y = [
        np.interp(np.log(x), np.log(line.index.to_numpy(float)), line.to_numpy(float))
        for line in lines
    ]
    return _Gap(x, y[1] - y[0])


def _without_crossing(claim: CrossingClaim, found: Finding, gap: _Gap, half: float) -> Finding:
    """Return the finding on two lines that do not cross where both were measured.

    It is a refutation where the second line is still above the first at a point beyond `at_most`.
    """
    low = float(gap.x[0])
    high = float(gap.x[-1])
    last = float(gap.y[-1])
    state = "below" if last < 0 else "above"
    reason = (
        f"they do not cross between {low:.3g} and {high:.3g}: the second line is {state} the "
        "first there"
    )
    is_past_bound = claim.at_most is not None and claim.at_most <= high
    is_refuted = is_past_bound and last > half
    return replace(found, verdict="REFUTED" if is_refuted else "UNDECIDED", reason=reason)


def _falls(gap: _Gap, shift: float) -> float | None:
    """Return the last x at which the moved gap turns negative and stays so, or None."""
    below = gap.y + shift < 0
    if below.all() or not below[-1]:
        return None
    return float(gap.x[int(np.flatnonzero(~below)[-1]) + 1])
