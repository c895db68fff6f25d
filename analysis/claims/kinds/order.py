"""Orders: differences of means over seeds, for every neighbouring pair in every group."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd

from analysis.claims.cases import Case, decide, worst
from analysis.claims.finding import Finding
from analysis.claims.groups import check_alike, groups_of
from analysis.claims.rows import NotYetError, rows_of
from analysis.claims.values import Values, values_of
from analysis.noise.decide import Comparison
from analysis.noise.model import Mean
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import OrderClaim


def judge(claim: OrderClaim, source: Source) -> Finding:
    """Judge every pair of neighbouring ranks in every group; the least certain is the estimate."""
    members = tuple(value for rank in claim.ranks for value in rank)
    about = rows_of(claim, source, keep=(claim.by,), where={claim.by: members})
    values = values_of(claim, source, about.frame)
    cases = list(_cases(claim, about.frame, values))
    measured = [case for case in cases if case.comparison is not None]
    if not measured:
        raise NotYetError(
            f"no two of {', '.join(map(str, members))} are measured alike; `ditlab run "
            f"{source.name}`"
        )
    found = decide(claim, cases)
    least = worst(cases)
    return (
        Finding(
            found.verdict,
            least.estimate,
            least.low,
            least.high,
            quantity=f"least certain difference of {claim.metric}",
            bound=" < ".join(" | ".join(map(str, rank)) for rank in claim.ranks),
            n=about.frame["run_id"].nunique(),
            comparisons=len(cases),
            reason=found.reason(claim),
            decided_by="tolerance" if found.by_tolerance else "noise",
            detail=tuple(
                f"{case.name}: difference {case.estimate:+.3g} ({case.low:+.3g} to "
                f"{case.high:+.3g}) {part}"
                for case, part in zip(cases, found.parts, strict=True)
                if case.comparison is not None
            ),
        )
        .with_noise(values)
        .about(about)
    )


def _cases(claim: OrderClaim, rows: pd.DataFrame, values: Values) -> Iterator[Case]:
    for name, group in groups_of(rows, claim.within):
        check_alike(group, claim.by, claim, name)
        means = {
            key: values.mean(one) for key, one in values.narrow(group, claim.by).groupby(claim.by)
        }
        for upper, lower in itertools.pairwise(claim.ranks):
            for small, large in itertools.product(upper, lower):
                yield _case(claim, f"{name}{small} < {large}", values, means, (small, large))


def _case(
    claim: OrderClaim,
    name: str,
    values: Values,
    means: dict[object, Mean],
    pair: tuple[object, ...],
) -> Case:
    small = means.get(pair[0])
    large = means.get(pair[1])
    if small is None or large is None:
        return Case(name, None)
    contrast = values.model.difference(small, large)
    half = contrast.half(claim.level)
    base = values.model.value(small.value)
    gap, low, high = (
        values.model.value(small.value + contrast.gap + reach) - base
        for reach in (0.0, -half, half)
    )
    return Case(name, Comparison(contrast, above=0.0), gap, gap, low, high)
