"""Correlations are judged by their bootstrap interval over configurations and seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.claims.finding import Finding, Part, against, bounds_of, span_of, verdict_of
from analysis.claims.rows import rows_of
from analysis.laws.correlation import SEED, Correlation, correlate, difference
from analysis.select.configuration import config_key
from analysis.select.noise import noise_of
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import CorrelationClaim


def judge(claim: CorrelationClaim, source: Source) -> Finding:
    """Judge the coefficient by its bounds, and by the one of another column where it is named."""
    about = rows_of(claim, source)
    rows = about.frame
    found = correlate(
        _scaled(rows[claim.x], claim.x_scale),
        rows[claim.metric].to_numpy(float),
        np.random.default_rng(SEED),
        method=claim.method,
        groups=config_key(rows).to_numpy(str),
        level=claim.level,
    )
    parts: list[Part] = []
    detail: tuple[str, ...] = ()
    reason = ""
    if found.low is None or found.high is None:
        reason = found.status
    else:
        if claim.at_most is not None or claim.at_least is not None:
            parts.append(against(claim, found.low - claim.tolerance, found.high + claim.tolerance))
        if claim.stronger_than:
            gap = _gap(claim, rows)
            parts.append(_part_of(gap))
            gap_text = span_of(gap.r, gap.low, gap.high)
            detail = (f"|r| minus |r with {claim.stronger_than}|: {gap_text}",)
            if verdict_of(parts) == "UNDECIDED" and parts[-1] == "open":
                reason = f"not told apart: {detail[0]}"
    return Finding(
        verdict_of(parts),
        found.r,
        found.low,
        found.high,
        quantity=_quantity(claim),
        bound=_bound(claim),
        n=found.n,
        noise=noise_of(rows, claim.metric).sd,
        source="bootstrap",
        reason=reason,
        detail=detail,
    ).about(about)


def _quantity(claim: CorrelationClaim) -> str:
    coefficient = "r" if claim.method == "pearson" else "Spearman"
    return f"{coefficient} of {claim.x_scale} {claim.x} and {claim.metric}"


def _bound(claim: CorrelationClaim) -> str:
    other = f"stronger than with {claim.stronger_than}" if claim.stronger_than else ""
    return " and ".join(filter(None, [bounds_of(claim), other]))


def _gap(claim: CorrelationClaim, rows: pd.DataFrame) -> Correlation:
    """Return |r| of the claim's column minus |r| of the other one, over means of configurations."""
    columns = {
        "x": _scaled(rows[claim.x], claim.x_scale),
        "other": _scaled(rows[claim.stronger_than], claim.x_scale),
        "y": rows[claim.metric].to_numpy(float),
        "group": config_key(rows).to_numpy(str),
    }
    means = pd.DataFrame(columns).groupby("group", sort=True).mean()
    rng = np.random.default_rng(SEED)
    return difference(
        means["x"], means["other"], means["y"], rng, method=claim.method, level=claim.level
    )


def _part_of(gap: Correlation) -> Part:
    if gap.low is None or gap.high is None:
        return "open"
    if gap.low > 0:
        return "holds"
    return "fails" if gap.high < 0 else "open"


def _scaled(column: pd.Series, scale: str) -> Any:
    values = column.to_numpy(float)
    if scale != "log":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values)
