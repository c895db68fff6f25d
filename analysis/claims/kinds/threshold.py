"""Thresholds: a bound on, or a value of, every selected configuration."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.claims.finding import Finding, Part, against, bounds_of, verdict_of
from analysis.claims.rows import rows_of
from analysis.select.configuration import MODEL, config_key
from analysis.select.noise import noise_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import ThresholdClaim


@dataclass(frozen=True, slots=True)
class _Case:
    """One configuration compared with the bound."""

    part: Part
    badness: float
    """Grows as the value comes nearer to the bound, or passes it."""
    value: float
    half: float


def judge(claim: ThresholdClaim, source: Source) -> Finding:
    """Judge every selected configuration; the worst one is the estimate."""
    about = rows_of(claim, source, keep=tuple(claim.where))
    rows = about.frame
    noise = noise_of(rows, claim.metric, tuple(claim.where))
    cases = []
    for group in _configurations(claim, rows):
        known = noise.half(len(group), level=claim.level) or 0.0
        cases.append(_case(claim, float(group.mean()), known))
    worst = max(cases, key=lambda case: (case.badness, case.value, case.half))
    return Finding(
        verdict_of([case.part for case in cases]),
        worst.value,
        worst.value - worst.half,
        worst.value + worst.half,
        quantity=f"{claim.metric} (the farthest of {len(cases)})",
        bound=_bound(claim),
        n=len(rows),
        noise=noise.sd,
        source=noise.source,
    ).about(about)


def _configurations(claim: ThresholdClaim, rows: pd.DataFrame) -> list[pd.Series]:
    """Return the metric's values of each configuration and value of the columns selected by."""
    further = [column for column in claim.where if column in rows and column not in MODEL]
    keys = config_key(rows, (*MODEL, *further))
    return [group[claim.metric] for _, group in rows.groupby(keys.to_numpy(), sort=False)]


def _case(claim: ThresholdClaim, value: float, known: float) -> _Case:
    """Compare one configuration's mean, with the half width `known` of its noise."""
    if claim.equals is None:
        half = max(known, claim.tolerance)
        badness = -value if claim.at_most is None else value
        return _Case(against(claim, value - half, value + half), badness, value, half)
    off = abs(value - claim.equals)
    part: Part = "open"
    if off <= claim.tolerance:
        part = "holds"
    elif off - known > claim.tolerance:
        part = "fails"
    return _Case(part, off, value, known)


def _bound(claim: ThresholdClaim) -> str:
    if claim.equals is None:
        return bounds_of(claim)
    return f"= {claim.equals:g} ± {claim.tolerance:g}"
