"""Trends: a change from first to last beyond the noise, and no step back beyond the noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd

from analysis.claims.finding import Finding, Part, beyond, verdict_of
from analysis.claims.groups import check_alike, groups_of, half_width
from analysis.claims.rows import NotYetError, rows_of
from analysis.select.noise import Noise, noise_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import TrendClaim


@dataclass(frozen=True, slots=True)
class _Line:
    """The change of the metric along one group; positive is in the direction claimed."""

    part: Part
    total: float
    half: float
    values: int


def judge(claim: TrendClaim, source: Source) -> Finding:
    """Judge the change along every group; the smallest one is the estimate."""
    about = rows_of(claim, source, keep=(claim.x,))
    noise = noise_of(about.frame, claim.metric, (claim.x, *claim.within))
    sign = -1.0 if claim.direction == "falling" else 1.0
    parts: list[Part] = []
    detail = []
    lines = []
    for name, group in groups_of(about.frame, claim.within):
        check_alike(group, claim.x, claim, name)
        line = _line(claim, group, noise, sign)
        if line is None:
            parts.append("open")
            detail.append(f"{name}one value of {claim.x} only")
            continue
        parts.append(line.part)
        lines.append(line)
        change = f"{sign * line.total:+.3g} ± {line.half:.2g}"
        detail.append(f"{name}{change} over {line.values} values of {claim.x} {line.part}")
    if not lines:
        raise NotYetError(f"one value of {claim.x} only is measured; `ditlab run {source.name}`")
    least = min(lines, key=lambda line: line.total - line.half)
    low, high = sorted((sign * (least.total - least.half), sign * (least.total + least.half)))
    return Finding(
        verdict_of(parts),
        sign * least.total,
        low,
        high,
        quantity=f"smallest change of {claim.metric}",
        bound=f"{claim.direction} with {claim.x}",
        n=len(about.frame),
        noise=noise.sd,
        source=noise.source,
        detail=tuple(detail),
    ).about(about)


def _line(claim: TrendClaim, group: pd.DataFrame, noise: Noise, sign: float) -> _Line | None:
    """Return the change along one group, None where it has a single value of `x`."""
    values = group.groupby(claim.x)[claim.metric]
    means = values.mean().tolist()
    counts = values.size().tolist()
    if len(means) < 2:
        return None
    steps = [sign * (after - before) for before, after in itertools.pairwise(means)]
    halves = [half_width(noise, claim, *pair) for pair in itertools.pairwise(counts)]
    total = sum(steps)
    half = half_width(noise, claim, counts[0], counts[-1])
    part = beyond(total, half)
    if any(step < -reach for step, reach in zip(steps, halves, strict=True)):
        part = "fails"
    return _Line(part, total, half, len(means))
