"""Trends: a change from first to last that is shown, and no step back that may be.

A trend is SUPPORTED where the change along the whole line is shown and every step back larger than
the tolerance is excluded by its interval; one step back that is shown refutes it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pandas as pd

from analysis.claims.cases import Case, decide
from analysis.claims.finding import Finding
from analysis.claims.groups import check_alike, groups_of
from analysis.claims.rows import NotYetError, rows_of
from analysis.claims.values import Values, values_of
from analysis.noise.decide import Comparison, Part
from analysis.noise.model import Contrast, Mean
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import TrendClaim


def judge(claim: TrendClaim, source: Source) -> Finding:
    """Judge the change along every group and its steps; the least change is the estimate."""
    about = rows_of(claim, source, keep=(claim.x,))
    values = values_of(claim, source, about.frame)
    lines = [_line(claim, *named, values) for named in groups_of(about.frame, claim.within)]
    totals = [line[0] for line in lines if line[0].comparison is not None]
    if not totals:
        raise NotYetError(f"one value of {claim.x} only is measured; `ditlab run {source.name}`")
    cases = list(itertools.chain.from_iterable(lines))
    found = decide(claim, cases)
    least = min(totals, key=lambda case: case.excess)
    return (
        Finding(
            found.verdict,
            least.estimate,
            min(least.low, least.high),
            max(least.low, least.high),
            quantity=f"smallest change of {claim.metric}",
            bound=f"{claim.direction} with {claim.x}",
            n=about.frame["run_id"].nunique(),
            comparisons=len(cases),
            reason=found.reason(claim),
            decided_by="tolerance" if found.by_tolerance else "noise",
            detail=tuple(map(_text, cases, found.parts)),
        )
        .with_noise(values)
        .about(about)
    )


def _text(case: Case, part: Part) -> str:
    if case.comparison is None:
        return case.name
    return f"{case.name}: {case.estimate:+.3g} ({case.low:+.3g} to {case.high:+.3g}) {part}"


def _line(claim: TrendClaim, name: str, group: pd.DataFrame, values: Values) -> list[Case]:
    """Return the change along one group, then its steps; without a comparison if it has none."""
    check_alike(group, claim.x, claim, name)
    means = {x: values.mean(one) for x, one in values.narrow(group, claim.x).groupby(claim.x)}
    if len(means) < 2:
        return [Case(f"{name}one value of {claim.x} only", None)]
    points = list(means)
    total = _case(claim, f"{name}{points[0]:g} to {points[-1]:g}", values, means)
    return [total, *(_steps(claim, name, values, means) if len(means) > 2 else ())]


def _steps(
    claim: TrendClaim, name: str, values: Values, means: dict[float, Mean]
) -> Iterator[Case]:
    for before, after in itertools.pairwise(means):
        ends = {before: means[before], after: means[after]}
        step = _case(claim, f"{name}step {before:g} to {after:g}", values, ends)
        assert step.comparison is not None
        margin = _step_back(claim, values, means[before])
        comparison = Comparison(step.comparison.contrast, above=margin)
        # The tolerance is part of the bound already.
        yield Case(step.name, comparison, math.inf, step.estimate, step.low, step.high)


def _case(claim: TrendClaim, name: str, values: Values, means: dict[float, Mean]) -> Case:
    """Compare the change from the first to the last mean with 0, in the direction claimed."""
    first, *_, last = means.values()
    change = values.model.difference(first, last)
    sign = -1.0 if claim.direction == "falling" else 1.0
    base = values.model.value(first.value)
    half = change.half(claim.level)
    moved, low, high = (
        values.model.value(first.value + change.gap + reach) - base for reach in (0.0, -half, half)
    )
    upwards = Contrast(sign * change.gap, change.error, change.df)
    return Case(name, Comparison(upwards, above=0.0), sign * moved, moved, low, high)


def _step_back(claim: TrendClaim, values: Values, before: Mean) -> float:
    """Return the largest step back that counts as none, on the model's scale (0 or below)."""
    if values.model.scale == "linear":
        return -claim.tolerance
    share = claim.tolerance / values.model.value(before.value)
    if claim.direction == "falling":
        return -math.log1p(share)
    return math.log1p(-share) if share < 1 else -math.inf
