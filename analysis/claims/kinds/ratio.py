"""Ratios of two configurations: positive values have noise, and so an interval, in proportion."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.claims.finding import Finding, against, bounds_of, verdict_of
from analysis.claims.rows import Rows, rows_of
from analysis.select.configuration import MODEL, config_key, config_names
from analysis.select.noise import Noise, noise_of, relative_noise_of
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.science.claim import Selection
from dit_core.study.science.claim_kinds import RatioClaim

_SEED_OF_NAME = re.compile(r",?\b(train\.)?seed=[^,]*")


def judge(claim: RatioClaim, source: Source) -> Finding:
    """Judge the ratio of the two means by its bounds."""
    above = _side(claim, claim.numerator, source)
    below = _side(claim, claim.denominator, source)
    undecided = Finding(
        "UNDECIDED",
        quantity=f"ratio of {claim.metric}",
        bound=bounds_of(claim),
        n=len(above.frame) + len(below.frame),
        reason="the mean of the denominator is 0",
    ).about(above, below)
    top = above.frame[claim.metric].to_numpy(float)
    bottom = below.frame[claim.metric].to_numpy(float)
    if not bottom.mean():
        return undecided
    value = float(top.mean() / bottom.mean())
    low, high, noise = _interval(claim, above.frame, below.frame)
    low = min(low, value - claim.tolerance)
    high = max(high, value + claim.tolerance)
    return Finding(
        verdict_of([against(claim, low, high)]),
        value,
        low,
        high,
        quantity=undecided.quantity,
        bound=undecided.bound,
        n=undecided.n,
        noise=noise.sd,
        source=noise.source,
        detail=_detail(claim, above.frame, below.frame),
    ).about(above, below)


def _side(claim: RatioClaim, side: Selection, source: Source) -> Rows:
    """Return the rows of one side; raise UserError where they are of several configurations."""
    about = rows_of(claim, source, where=side)
    rows = about.frame
    seedless = rows.assign(name=rows["name"].map(_seedless))
    if config_key(seedless, (*MODEL, "name")).nunique() > 1:
        raise UserError(
            f"claim {claim.id!r}: {side} selects {rows['run_id'].nunique()} runs of different "
            "models; name one"
        )
    return about


def _interval(
    claim: RatioClaim, above: pd.DataFrame, below: pd.DataFrame
) -> tuple[float, float, Noise]:
    """Return the ends of the ratio's interval, and the noise it rests on."""
    top = above[claim.metric].to_numpy(float)
    bottom = below[claim.metric].to_numpy(float)
    value = float(top.mean() / bottom.mean())
    both = pd.concat([above, below])
    by = (*claim.numerator, *claim.denominator)
    noise = relative_noise_of(both, claim.metric, by)
    if noise is not None:
        reach = float(np.exp(noise.half(len(top), len(bottom), level=claim.level) or 0.0))
        return value / reach, value * reach, noise
    # Values of both signs have no logarithm: propagation of errors to first order.
    noise = noise_of(both, claim.metric, by)
    top_half = noise.half(len(top), level=claim.level) or 0.0
    bottom_half = noise.half(len(bottom), level=claim.level) or 0.0
    share = float(np.hypot(top_half / top.mean(), bottom_half / bottom.mean()))
    half = abs(value) * share
    return value - half, value + half, noise


def _detail(claim: RatioClaim, above: pd.DataFrame, below: pd.DataFrame) -> tuple[str, ...]:
    names = config_names(pd.concat([above, below], ignore_index=True))
    named = ((names.iloc[0], above), (names.iloc[-1], below))
    return tuple(
        f"{name}{_steps(side)}: {side[claim.metric].mean():.4g} (n = {len(side)})"
        for name, side in named
    )


def _seedless(name: str) -> str:
    """Return a run's name without its seed: two seeds are two readings of one configuration."""
    return _SEED_OF_NAME.sub("", str(name))


def _steps(rows: pd.DataFrame) -> str:
    steps = rows.iloc[0].get("steps")
    return f", {steps:g} steps" if pd.notna(steps) else ""
