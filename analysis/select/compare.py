"""Runs of a study side by side by one column, everything else equal, compared with the noise.

The noise floor of a metric is twice the standard deviation of repeats: runs of the study that
differ in nothing but their seed (analysis/select/noise.py). A difference of means over m and n
seeds must exceed floor x sqrt(1/m + 1/n). An early training point or a few sampling steps have a
noise of their own: the floor is that of repeats measured alike, and of all repeats only where there
are none. Without any the floor is unknown, and a difference is judged by the intervals alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.select.differ import SETTINGS, metric_names
from analysis.select.noise import noise_between_seeds
from analysis.tables.columns import science_columns
from analysis.tables.order import rank
from dit_core.errors import UserError, nearest

Row = dict[str, Any]
_DIMS = ("model_depth", "model_hidden", "model_heads")
SEEDS = ("train_seed", "sample_seed")
VERDICTS = ("apart", "within noise", "unknown")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`rows`: one per setting and value of `by`, with the `noise_floor` it was compared with.

    `floor`: twice the standard deviation over seeds, pooled over all settings, or None.
    """

    by: str
    metric: str
    rows: list[dict[str, Any]]
    floor: float | None
    repeats: int
    left_out: int


def compare(frame: pd.DataFrame, by: str, metric: str | None = None) -> Comparison:
    """Return a study's results in groups that differ only in `by` and in seeds.

    `frame` is that of `analysis.tables.load.results`.

    Each row holds the mean over seeds, its interval, the difference to the group's first value and
    a verdict of VERDICTS. Raises UserError for a column that is not there, does not vary, or a
    metric that was not measured.
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
    floor, repeats = _noise(here, fixed, by, metric)
    measured = [c for c in fixed if c in SETTINGS and here[c].nunique(dropna=False) > 1]
    floors = {
        _words(g, measured): _noise(g, fixed, by, metric)[0] for _, g in _parts(here, measured)
    }
    rows: list[Row] = []
    left_out = 0
    shown = [c for c in fixed if c not in _DIMS and here[c].nunique(dropna=False) > 1]
    sized = any(c in fixed and here[c].nunique(dropna=False) > 1 for c in _DIMS)
    for key, group in here.groupby(fixed, dropna=False, sort=True):
        if group[by].nunique(dropna=False) < 2:
            left_out += len(group)
            continue
        size = {"model_size": group["model_size"].iloc[0]} if sized else {}
        where = {**size, **{c: _plain(v) for c, v in zip(fixed, key, strict=True) if c in shown}}
        own = floors[_words(group, measured)]
        rows += _group(where, group, by, metric, floor if own is None else own)
    return Comparison(by, metric, rows, floor, repeats, left_out)


def _parts(frame: pd.DataFrame, by: list[str]) -> Iterable[tuple[Any, pd.DataFrame]]:
    return frame.groupby(by, dropna=False) if by else [((), frame)]


def _words(group: pd.DataFrame, measured: list[str]) -> str:
    """Return how a group was measured, as text: as text, missing values equal each other."""
    return repr([group[c].iloc[0] for c in measured])


def _group(where: Row, group: pd.DataFrame, by: str, metric: str, floor: float | None) -> list[Row]:
    rows: list[Row] = []
    for value, members in sorted(
        group.groupby(by, dropna=False, sort=True), key=lambda pair: rank(pair[0])
    ):
        count = len(members)
        low, high = _interval(members, metric)
        row = {
            **where,
            by: _plain(value),
            "n": count,
            metric: float(members[metric].mean()),
            "low": low,
            "high": high,
        }
        row |= {"difference": None, "noise_floor": floor, "verdict": None}
        if rows:
            row["difference"] = row[metric] - rows[0][metric]
            row["verdict"] = _verdict(rows[0], row, metric, floor)
        rows.append(row)
    return rows


def _interval(members: pd.DataFrame, metric: str) -> tuple[float | None, float | None]:
    """Return the interval of a mean.

    That of a single evaluation is the recorded one; of several, theirs or their spread, whichever
    is wider.
    """
    low = members[f"{metric}_low"].mean()
    high = members[f"{metric}_high"].mean()
    if len(members) > 1:
        mean = members[metric].mean()
        half = 2 * members[metric].std(ddof=1) / math.sqrt(len(members))
        low = np.nanmin([low, mean - half])
        high = np.nanmax([high, mean + half])
    return (None, None) if math.isnan(low) or math.isnan(high) else (float(low), float(high))


def _verdict(first: dict[str, Any], row: dict[str, Any], metric: str, floor: float | None) -> str:
    """Return apart only if the intervals are apart and the difference exceeds the noise floor."""
    if None in (first["low"], row["low"]):
        return "unknown"
    separate = row["low"] > first["high"] or row["high"] < first["low"]
    above = floor is None or abs(row[metric] - first[metric]) > floor * math.sqrt(
        1 / first["n"] + 1 / row["n"]
    )
    return "apart" if separate and above else "within noise"


def _noise(frame: pd.DataFrame, fixed: list[str], by: str, metric: str) -> tuple[float | None, int]:
    """Return (twice the pooled standard deviation over seeds, number of repeats it rests on)."""
    alike = frame.groupby([*fixed, by], dropna=False).ngroup()
    seeds = frame["train_seed"] if "train_seed" in frame else frame["seed"]
    found = noise_between_seeds(frame[metric], alike, seeds)
    return (None if found.sd is None else 2 * found.sd), found.df


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
