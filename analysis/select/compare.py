"""Runs of a study side by side by one column, everything else equal, compared with the noise.

The noise is that of claims (`analysis/noise/model.py`): the study's repeats, a prior where it has
none, Student's degrees of freedom of trainings. "apart" is said of one comparison at a time: of
twenty between equal things about one is apart by chance. A column that is no part of the training,
as the number of sampling steps, is compared on the trainings that have all of its values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.noise.model import Mean, NoiseModel
from analysis.select.differ import SETTINGS, metric_names
from analysis.select.repeats import noise_of, scale_in, trainings_of
from analysis.tables.columns import science_columns
from analysis.tables.order import rank
from dit_core.errors import UserError, nearest

Row = dict[str, Any]
_DIMS = ("model_depth", "model_hidden", "model_heads")
SEEDS = ("train_seed", "sample_seed")
VERDICTS = ("apart", "within noise")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows`: one per setting and value of `by`, with the difference to the first value's.

    `noise`: standard deviation between trainings that differ in their seed alone, a share of the
    value where `noise_is_share`; `prior`: nothing of the study is repeated.
    """

    by: str
    metric: str
    rows: list[dict[str, Any]]
    noise: float
    noise_is_share: bool
    noise_source: str
    prior: bool
    repeats: int
    left_out: int


def compare(
    frame: pd.DataFrame, by: str, metric: str | None = None, elsewhere: pd.DataFrame | None = None
) -> Comparison:
    """Return a study's results in groups that differ only in `by` and in seeds.

    `frame` is that of `analysis.tables.load.results`; `elsewhere` holds the rows of the results
    folder's other runs, whose repeats tell the noise where this study has few.

    Each row holds the mean over seeds, its interval, the difference to the group's first value with
    its interval, and a verdict of VERDICTS. Raises UserError for a column that is not there, does
    not vary, or a metric that was not measured.
    """
    by = _column(frame, by.replace(".", "_"))
    metric = _metric(frame, metric)
    fixed = [c for c in _settings(frame) if c not in (by, *SEEDS) and c not in _follows(by)]
    here = frame[frame[metric].notna()]
    if here[by].nunique(dropna=False) < 2:
        values = ", ".join(map(str, here[by].unique())) or "none"
        raise UserError(
            f"{by} has a single value among the measured runs ({values}); nothing to compare"
        )
    model = noise_of(here, metric, scale_in(here, metric), elsewhere=elsewhere)
    rows: list[Row] = []
    left_out = 0
    shown = [c for c in fixed if c not in _DIMS and here[c].nunique(dropna=False) > 1]
    sized = any(c in fixed and here[c].nunique(dropna=False) > 1 for c in _DIMS)
    for key, group in here.groupby(fixed, dropna=False, sort=True):
        kept = _on_shared_trainings(group, by) if by in SETTINGS else group
        left_out += len(group) - len(kept)
        if kept[by].nunique(dropna=False) < 2:
            left_out += len(kept)
            continue
        size = {"model_size": group["model_size"].iloc[0]} if sized else {}
        where = {**size, **{c: _plain(v) for c, v in zip(fixed, key, strict=True) if c in shown}}
        rows += _group(where, kept, by, metric, model)
    return Comparison(
        by=by,
        metric=metric,
        rows=rows,
        noise=model.pooled_sd,
        noise_is_share=model.scale == "log",
        noise_source=model.source,
        prior=not model.repeats,
        repeats=model.repeats,
        left_out=left_out,
    )


def _on_shared_trainings(group: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the rows of the trainings that were measured at most values of `by`.

    A mean over two seeds here and over one there differs by the second seed too.
    """
    counts = group.groupby("run_id")[by].nunique(dropna=False)
    return group[group["run_id"].map(counts) == counts.max()]


def _group(where: Row, group: pd.DataFrame, by: str, metric: str, model: NoiseModel) -> list[Row]:
    rows: list[Row] = []
    first: Mean | None = None
    for value, members in sorted(
        group.groupby(by, dropna=False, sort=True), key=lambda pair: rank(pair[0])
    ):
        mean = model.mean(trainings_of(members, metric, model.scale))
        low, high = model.interval(mean)
        row = {**where, by: _plain(value), "n": mean.trainings}
        row |= {metric: model.value(mean.value), "low": low, "high": high}
        row |= _difference(model, first, mean)
        first = first or mean
        rows.append(row)
    return rows


def _difference(model: NoiseModel, first: Mean | None, mean: Mean) -> Row:
    """Return a mean's difference to the first of its group, its interval and the verdict."""
    ends = ("difference", "difference_low", "difference_high")
    if first is None:
        return dict.fromkeys((*ends, "verdict"))
    contrast = model.difference(first, mean)
    half = contrast.half()
    base = model.value(first.value)
    found = [model.value(first.value + contrast.gap + reach) - base for reach in (0, -half, half)]
    verdict = "apart" if abs(contrast.gap) > half else "within noise"
    return {**dict(zip(ends, found, strict=True)), "verdict": verdict}


def _settings(frame: pd.DataFrame) -> list[str]:
    known = [c.name for c in science_columns()] + list(SETTINGS)
    return [c for c in known if c in frame.columns]


def _follows(by: str) -> tuple[str, ...]:
    """Return the columns that change with `by`: a size is depth, width and heads."""
    if by in ("model_size", "size"):
        return ("model_size", *_DIMS)
    if by in ("model_family", "family"):
        return (*(c.name for c in science_columns() if c.name.startswith("model_")), "model_size")
    if by in ("objective", "objective_name"):
        return (
            *(c.name for c in science_columns() if c.name.startswith("objective_")),
            "sampler",
            "steps",
            "eta",
        )
    return {
        "patch": ("model_patch",),
        "conditioning": ("model_conditioning",),
        "seed": ("train_seed",),
    }.get(by, ())


def _column(frame: pd.DataFrame, name: str) -> str:
    if name not in frame.columns:
        raise UserError(
            f"results have no column {name!r}{nearest(name, frame.columns)}; `ditlab query` names "
            "them all"
        )
    return name


def _metric(frame: pd.DataFrame, metric: str | None) -> str:
    there = [m for m in metric_names(dict.fromkeys(frame.columns)) if frame[m].notna().any()]
    if metric is None:
        if not there:
            raise UserError("this study has no evaluation yet: `ditlab run STUDY` makes them")
        return next((m for m in there if m.startswith(("fid", "fd"))), there[0])
    if metric not in there:
        raise UserError(
            f"--metric {metric!r}{nearest(metric, there)}; measured are "
            f"{', '.join(there) or 'none'}"
        )
    return metric


def _plain(value: Any) -> Any:
    """Return a grouping value as JSON can hold it."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value
