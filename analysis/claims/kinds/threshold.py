"""Thresholds: a bound on, or a value of, every selected configuration.

`equals` is shown by two one-sided tests: the whole interval lies within the tolerance around it.
"""

from __future__ import annotations

import math

import pandas as pd

from analysis.claims.cases import Case, decide, worst
from analysis.claims.finding import Finding, bounds_of
from analysis.claims.rows import CONFIGURATION, rows_of
from analysis.claims.values import Values, values_of
from analysis.select.configuration import MODEL, config_key
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import ThresholdClaim


def judge(claim: ThresholdClaim, source: Source) -> Finding:
    """Judge every selected configuration; the one nearest to its bound is the estimate."""
    about = rows_of(claim, source, keep=tuple(claim.where))
    rows = about.frame
    bounds = [bound for bound in bounds_in(claim) if bound is not None]
    values = values_of(claim, source, rows, *bounds)
    cases = [_case(claim, values, group) for group in _configurations(claim, rows)]
    found = decide(claim, cases, margin=claim.equals is None)
    least = worst(cases)
    return (
        Finding(
            found.verdict,
            least.estimate,
            least.low,
            least.high,
            quantity=f"{claim.metric} (the nearest to its bound of {len(cases)})",
            bound=_bound(claim),
            n=rows["run_id"].nunique(),
            comparisons=len(cases),
            reason=found.reason(claim),
            decided_by="tolerance" if found.by_tolerance else "noise",
        )
        .with_noise(values)
        .about(about)
    )


def bounds_in(claim: ThresholdClaim) -> tuple[float | None, float | None]:
    """Return the lower and the upper bound that a claim sets on each configuration."""
    if claim.equals is None:
        return claim.at_least, claim.at_most
    return claim.equals - claim.tolerance, claim.equals + claim.tolerance


def _configurations(claim: ThresholdClaim, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of each configuration and value of the columns selected by."""
    further = [column for column in claim.where if column in rows and column not in MODEL]
    keys = config_key(rows, (CONFIGURATION, *further))
    return [group for _, group in rows.groupby(keys.to_numpy(), sort=False)]


def _case(claim: ThresholdClaim, values: Values, group: pd.DataFrame) -> Case:
    """Compare one configuration's mean with the bounds."""
    mean = values.mean(group)
    lower, upper = bounds_in(claim)
    comparison = values.held(mean, lower, upper)
    half = comparison.contrast.half(claim.level)
    value, low, high = (values.model.value(mean.value + reach) for reach in (0.0, -half, half))
    excess = min(
        math.inf if lower is None else value - lower, math.inf if upper is None else upper - value
    )
    return Case("", comparison, excess, value, low, high)


def _bound(claim: ThresholdClaim) -> str:
    if claim.equals is None:
        return bounds_of(claim)
    return f"= {claim.equals:g} ± {claim.tolerance:g}"
