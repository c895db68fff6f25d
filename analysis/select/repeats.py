"""From rows of results to the noise model: which rows are trainings, and which of them repeat.

Rows that differ in nothing but the seed of their training are repeats. Several readings of one
training (samplings with other seeds, or one number printed twice) are averaged first: they tell
nothing about the noise between trainings. Each training counts once, at the latest training point
and in the setting that most of its configuration's trainings share: readings of one training at
several points or settings are no further evidence.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.noise.model import (
    NoiseModel,
    Prior,
    Scale,
    Training,
    fit,
    prior_from,
    sample_sd_of,
    scale_of,
)
from analysis.select.configuration import MODEL, SETTING, config_key
from dit_core.study.catalogue.metrics import METRICS, Metric

_ALIKE = tuple(c for c in SETTING if c != "sample_seed")
_UNKNOWN = Metric("", "", None)


def scale_in(rows: pd.DataFrame, metric: str) -> Scale:
    """Return "log" where every value of the metric is positive, else "linear"."""
    return scale_of(rows[metric].dropna().to_numpy(float).tolist())


def stated_prior(rows: pd.DataFrame, metric: str, scale: Scale) -> Prior:
    """Return what the catalogue believes of the spread between trainings, on the scale."""
    row = METRICS.get(metric, _UNKNOWN)
    sd = row.seed_sd
    if scale == "linear":
        sd *= float(rows[metric].abs().median()) or 1.0
    return Prior(sd, source=f"{row.seed_sd:.3g} of the value, {row.seed_sd_source}")


def training_keys(rows: pd.DataFrame) -> pd.Series:
    """Return one word per training; rows without a seed may be one number printed twice."""
    if "seed" not in rows:
        return rows["run_id"].astype(object)
    return rows["run_id"].astype(object).where(rows["seed"].notna(), "printed")


def trainings_of(rows: pd.DataFrame, metric: str, scale: Scale) -> list[Training]:
    """Return the trainings of one configuration: each with the mean of its readings."""
    found: dict[str, list[tuple[float, float | None]]] = {}
    values = rows[metric].to_numpy(float)
    lows = _column(rows, f"{metric}_low")
    highs = _column(rows, f"{metric}_high")
    for key, value, low, high in zip(training_keys(rows), values, lows, highs, strict=True):
        number = math.log(value) if scale == "log" else value
        found.setdefault(str(key), []).append((number, sample_sd_of(low, high, scale)))
    return [_training(readings) for readings in found.values()]


def _column(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows[name].to_numpy(float) if name in rows else np.full(len(rows), np.nan)


def _training(readings: list[tuple[float, float | None]]) -> Training:
    known = [sd for _, sd in readings if sd is not None]
    value = float(np.mean([value for value, _ in readings]))
    if not known:
        return Training(value)
    return Training(value, math.sqrt(float(np.mean(np.square(known))) / len(readings)))


def repeats_in(
    rows: pd.DataFrame, metric: str, scale: Scale, keys: pd.Series | None = None
) -> dict[str, list[Training]]:
    """Return the trainings of every configuration that was trained with two seeds or more.

    `keys` names each row's configuration, where it is known already.
    """
    rows = rows[rows[metric].notna()]
    if "seed" not in rows or rows.empty:
        return {}
    rows = rows[rows["seed"].notna()]
    keys = config_key(rows, MODEL) if keys is None else keys[rows.index]
    counts = rows.groupby(keys)["run_id"].nunique()
    found = {}
    for key in counts[counts > 1].index:
        here = _one_setting(rows[keys == key])
        if here["run_id"].nunique() > 1:
            found[str(key)] = trainings_of(here, metric, scale)
    return found


def _one_setting(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows measured as most trainings of a configuration are, as late as can be."""
    columns = [c for c in (*_ALIKE, "images_seen") if c in rows]
    alike = config_key(rows, tuple(columns))
    trained = rows.groupby(alike)["run_id"].nunique()
    groups = [(trained[key], *_late(group), str(key)) for key, group in rows.groupby(alike)]
    return rows[alike == max(groups)[-1]]


def _late(group: pd.DataFrame) -> tuple[float, float]:
    """Return the training point and the sampling steps of a group, -1 where it has none."""
    first = group.iloc[0]
    images = first.get("images_seen")
    steps = first.get("steps")
    return -1.0 if pd.isna(images) else float(images), -1.0 if pd.isna(steps) else float(steps)


def noise_of(
    rows: pd.DataFrame,
    metric: str,
    scale: Scale,
    keys: pd.Series | None = None,
    elsewhere: pd.DataFrame | None = None,
) -> NoiseModel:
    """Return the noise model of a study's rows; `elsewhere` holds other studies' of the folder."""
    prior = stated_prior(rows, metric, scale)
    if elsewhere is not None and len(elsewhere):
        prior = prior_from(repeats_in(elsewhere, metric, scale), prior)
    return fit(repeats_in(rows, metric, scale, keys), prior, scale)
