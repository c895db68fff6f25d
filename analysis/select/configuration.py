"""What tells a study's models apart, and their names; seeds of a configuration are one model."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from analysis.tables.columns import HALVES, science_columns

_SHORT = ("model_size", "patch", "conditioning", "objective", "model_family")
# A seed tells no two configurations apart; the shape is named by its size, and the rest has a short
# name above.
_SAID = (
    "train_seed",
    "model_depth",
    "model_hidden",
    "model_heads",
    "model_patch",
    "model_conditioning",
    "objective_name",
)
# Rows that differ in none of these are seeds of one configuration: every field of the science but
# the seed.
MODEL = tuple(dict.fromkeys((*_SHORT, *(c.name for c in science_columns() if c.name not in _SAID))))

# Settings of an evaluation that a text names only where they vary.
RARE = ("eta", "clip", "guidance_channels", "guidance_start", "guidance_end", "sample_seed")
SETTING = ("protocol", "sampler", "steps", "guidance", "samples", "weights", *RARE)


def config_key(frame: pd.DataFrame, by: tuple[str, ...] = MODEL) -> pd.Series:
    """Return one word per row that is equal for the seeds of one configuration."""
    keys = [c for c in by if c in frame.columns]
    words = [frame[k].map(str) for k in keys]
    return pd.Series(
        ["|".join(row) for row in zip(*words, strict=True)], index=frame.index, dtype=object
    )


def short_name(row: pd.Series) -> str:
    """Return "XL/2" for size and patch, the size alone for a U-Net, else the row's name."""
    if "model_size" in row and "patch" in row and pd.notna(row["model_size"]):
        size = str(row["model_size"])
        return f"{size}/{int(row['patch'])}" if pd.notna(row["patch"]) else size
    return str(row.get("name", ""))


def config_names(frame: pd.DataFrame, but: tuple[str, ...] = ()) -> pd.Series:
    """Return each row's short name and what distinguishes it from others: "XXS/2 learned".

    `but` names columns that are shown elsewhere, as by the lines of a figure. The value that most
    configurations share, or the default of the study language, is not named.
    """
    by = tuple(c for c in MODEL if c not in but)
    names = pd.Series(
        [short_name(row) for _, row in frame.iterrows()], index=frame.index, dtype=object
    )
    for _, group in frame.groupby(names):
        models = group.loc[~config_key(group, by).duplicated()]
        for column in _telling(group, by):
            usual = _usual(models[column], column)
            names[group.index] += group[column].map(
                lambda v, c=column, u=usual: "" if str(v) == u else " " + _word(c, v)
            )
    return names


def _usual(values: pd.Series, column: str) -> str | None:
    """Return the value, as text, that goes without saying: most models', else the default."""
    counts = values.map(str).value_counts()
    if counts.iloc[0] > len(values) / 2:
        return str(counts.index[0])
    default = _default_values().get(column)
    return str(default) if str(default) in counts.index else None


@cache
def _default_values() -> dict[str, Any]:
    """Return {column: default} of the fields of the science that have one."""
    found: dict[str, Any] = {}
    for half, models in HALVES.items():
        for model in models:
            for name, info in model.model_fields.items():
                if not info.is_required():
                    found.setdefault(f"{half}_{name}", info.default)
    return found


def _telling(group: pd.DataFrame, by: tuple[str, ...]) -> list[str]:
    """Return the fewest columns, in order, that tell the configurations of a group apart."""
    chosen: list[str] = []
    parts = 1
    for column in by:
        if column in group and group[column].nunique(dropna=False) > 1:
            found = config_key(group, (*chosen, column)).nunique()
            if found > parts:
                chosen = [*chosen, column]
                parts = found
    return chosen


def _word(column: str, value: Any) -> str:
    what = column.split("_", 1)[-1].replace("_", " ") if column not in _SHORT else column
    if pd.isna(value) or value is False:
        return f"no {what}"
    if isinstance(value, str):
        return value
    return what if value is True else f"{what} {value:g}"
