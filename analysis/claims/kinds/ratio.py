"""Ratios of two configurations: positive values have noise, and so an interval, in proportion."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pandas as pd

from analysis.claims.cases import Case, decide
from analysis.claims.finding import Finding, bounds_of
from analysis.claims.rows import Rows, rows_of
from analysis.claims.values import Values, values_of
from analysis.noise.decide import Comparison
from analysis.noise.model import Contrast, Mean, NoiseModel
from analysis.select.configuration import MODEL, config_key, config_names
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.science.claim import Selection
from dit_core.study.science.claim_kinds import RatioClaim

_SEED_OF_NAME = re.compile(r",?\b(train\.)?seed=[^,]*")


def judge(claim: RatioClaim, source: Source) -> Finding:
    """Judge the ratio of the two means by its bounds."""
    above = _side(claim, claim.numerator, source)
    below = _side(claim, claim.denominator, source)
    both = pd.concat([above.frame, below.frame], ignore_index=True)
    bounds = [bound for bound in (claim.at_least, claim.at_most) if bound is not None]
    values = values_of(claim, source, both, *bounds)
    top = values.mean(above.frame)
    bottom = values.mean(below.frame)
    undecided = (
        Finding(
            "UNDECIDED",
            quantity=f"ratio of {claim.metric}",
            bound=bounds_of(claim),
            n=both["run_id"].nunique(),
            reason="the mean of the denominator is 0",
            detail=_detail(values, (above.frame, top), (below.frame, bottom)),
        )
        .with_noise(values)
        .about(above, below)
    )
    if values.model.scale == "linear" and not bottom.value:
        return undecided
    case = _case(claim, values, top, bottom)
    found = decide(claim, [case])
    return replace(
        undecided,
        verdict=found.verdict,
        estimate=case.estimate,
        low=case.low,
        high=case.high,
        reason=found.reason(claim),
        decided_by="tolerance" if found.by_tolerance else undecided.decided_by,
    )


def _case(claim: RatioClaim, values: Values, top: Mean, bottom: Mean) -> Case:
    contrast = _contrast(values.model, top, bottom)
    half = contrast.half(claim.level)
    value, low, high = (values.model.value(contrast.gap + reach) for reach in (0.0, -half, half))
    above = None if claim.at_least is None else values.model.number(claim.at_least)
    below = None if claim.at_most is None else values.model.number(claim.at_most)
    excess = min(
        math.inf if claim.at_least is None else value - claim.at_least,
        math.inf if claim.at_most is None else claim.at_most - value,
    )
    return Case("", Comparison(contrast, above, below), excess, value, low, high)


def _contrast(model: NoiseModel, top: Mean, bottom: Mean) -> Contrast:
    """Return the ratio on the model's scale, with its standard error."""
    if model.scale == "log":
        return model.difference(bottom, top)
    # Values of both signs have no logarithm: propagation of errors to first order.
    value = top.value / bottom.value
    error = math.hypot(math.sqrt(top.variance), value * math.sqrt(bottom.variance))
    return Contrast(value, error / abs(bottom.value), min(top.df, bottom.df))


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


def _detail(values: Values, *sides: tuple[pd.DataFrame, Mean]) -> tuple[str, ...]:
    names = config_names(pd.concat([rows for rows, _ in sides], ignore_index=True))
    return tuple(
        f"{name}{_steps(rows)}: {values.model.value(mean.value):.4g} "
        f"({_counted(mean.trainings, 'training')})"
        for name, (rows, mean) in zip((names.iloc[0], names.iloc[-1]), sides, strict=True)
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _seedless(name: str) -> str:
    """Return a run's name without its seed: two seeds are two readings of one configuration."""
    return _SEED_OF_NAME.sub("", str(name))


def _steps(rows: pd.DataFrame) -> str:
    steps = rows.iloc[0].get("steps")
    return f", {steps:g} steps" if pd.notna(steps) else ""
