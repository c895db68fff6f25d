"""Orders: differences of means over seeds, for every neighbouring pair in every group."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.claims.finding import Finding, Part, beyond, verdict_of
from analysis.claims.groups import check_alike, groups_of, half_width
from analysis.claims.rows import NotYetError, rows_of
from analysis.select.noise import Noise, noise_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import OrderClaim


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two values that the claim ranks next to each other, compared in one group."""

    name: str
    gap: float | None
    """Mean of the larger minus mean of the smaller one; None where one of them lacks results."""
    half: float = 0.0

    @property
    def part(self) -> Part:
        return "open" if self.gap is None else beyond(self.gap, self.half)


def judge(claim: OrderClaim, source: Source) -> Finding:
    """Judge every pair of neighbouring ranks in every group; the smallest gap is the estimate."""
    members = tuple(value for rank in claim.ranks for value in rank)
    about = rows_of(claim, source, keep=(claim.by,), where={claim.by: members})
    noise = noise_of(about.frame, claim.metric, (claim.by, *claim.within))
    pairs = list(_pairs(claim, about.frame, noise))
    gaps = [(pair.gap, pair.half) for pair in pairs if pair.gap is not None]
    if not gaps:
        raise NotYetError(
            f"no two of {', '.join(map(str, members))} are measured alike; `ditlab run "
            f"{source.name}`"
        )
    gap, half = min(gaps, key=lambda pair: pair[0] - pair[1])
    absent = len(pairs) - len(gaps)
    return Finding(
        verdict_of([pair.part for pair in pairs]),
        gap,
        gap - half,
        gap + half,
        quantity=f"smallest difference of {claim.metric}",
        bound=" < ".join(" | ".join(map(str, rank)) for rank in claim.ranks),
        n=len(gaps),
        noise=noise.sd,
        source=noise.source,
        reason=f"{absent} of {len(pairs)} comparisons lack results" if absent else "",
        detail=tuple(
            f"{pair.name}: difference {pair.gap:+.3g} ± {pair.half:.2g} {pair.part}"
            for pair in pairs
            if pair.gap is not None
        ),
    ).about(about)


def _pairs(claim: OrderClaim, rows: pd.DataFrame, noise: Noise) -> Iterator[_Pair]:
    for name, group in groups_of(rows, claim.within):
        check_alike(group, claim.by, claim, name)
        values = group.groupby(claim.by)[claim.metric]
        means = values.mean().to_dict()
        counts = values.size().to_dict()
        for upper, lower in itertools.pairwise(claim.ranks):
            for small, large in itertools.product(upper, lower):
                pair = f"{name}{small} < {large}"
                if small not in means or large not in means:
                    yield _Pair(pair, None)
                    continue
                half = half_width(noise, claim, counts[small], counts[large])
                yield _Pair(pair, float(means[large] - means[small]), half)
