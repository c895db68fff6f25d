"""What one sample of an evaluation costs: the plan's own count of forward passes, row by row."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import ValidationError

from dit_core.errors import UserError
from dit_core.study.price.steps import passes
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Ddpm, Flow

# All settings of a sampler but those that change no number of passes.
_SAMPLING = tuple(name for name in Sampling.model_fields if name not in ("eta", "clip"))
# Without these a row does not say how it was sampled; the other settings have neutral defaults.
_REQUIRED = ("objective", "sampler", "steps")
_COLUMNS = ("objective", "objective_timesteps", "data_channels", *_SAMPLING)


def sampling_gmacs(frame: pd.DataFrame) -> pd.Series:
    """Return 10^9 multiply-accumulates per sample: `fwd_gmacs` times the forward passes."""
    return frame["fwd_gmacs"] * forward_passes(frame)


def forward_passes(frame: pd.DataFrame) -> pd.Series:
    """Return forward passes per sample for rows with a run's and an evaluation's columns.

    Every setting that the plan prices counts: sampler, steps, guidance, its interval and channels.
    Missing (NaN) where a row does not say its objective, sampler and steps, or says impossible
    ones.
    """
    known: dict[tuple[Any, ...], float] = {}
    found = []
    for settings in _settings(frame):
        if settings not in known:
            known[settings] = _passes(dict(zip(_COLUMNS, settings, strict=True)))
        found.append(known[settings])
    return pd.Series(found, index=frame.index, dtype="float64")


def _settings(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return each row's values of _COLUMNS; what is missing, or has no column, is None."""
    columns = []
    for name in _COLUMNS:
        if name in frame:
            columns.append([_plain(value) for value in frame[name]])
        else:
            columns.append([None] * len(frame))
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    """Return a cell as the settings' models take it: 250.0 of a column of floats is 250."""
    if pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _passes(row: dict[str, Any]) -> float:
    given = {name: row[name] for name in _SAMPLING if row[name] is not None}
    if any(row[name] is None for name in _REQUIRED):
        return float("nan")
    try:
        sampling = Sampling.model_validate(given)
        return passes(_objective(row), sampling, _channels(row, sampling))
    except (ValidationError, UserError, KeyError):
        return float("nan")


def _objective(row: dict[str, Any]) -> Ddpm | Flow:
    kinds: dict[str, type[Ddpm] | type[Flow]] = {"ddpm": Ddpm, "flow": Flow}
    timesteps = row["objective_timesteps"]
    given = {} if timesteps is None else {"timesteps": timesteps}
    return kinds[row["objective"]].model_validate(given)


def _channels(row: dict[str, Any], sampling: Sampling) -> int:
    """Return the data's channels, which count for guidance 0 on the first three alone."""
    if row["data_channels"] is not None:
        return int(row["data_channels"])
    if sampling.guidance == 0 and sampling.guidance_channels == "first-3":
        raise KeyError("data_channels")
    return 1
