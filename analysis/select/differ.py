"""What differs between two runs: in their science, and in what was measured of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd

from analysis.noise.model import NoiseModel, Training, sample_sd_of
from analysis.select.configuration import config_key
from analysis.select.repeats import noise_of, scale_in
from analysis.tables import query
from analysis.tables.columns import science_columns
from dit_core.errors import UserError, nearest

SETTINGS = (
    "images_seen",
    "protocol",
    "protocol_hash",
    "samples",
    "sample_seed",
    "sampler",
    "steps",
    "guidance",
    "guidance_channels",
    "guidance_start",
    "guidance_end",
    "eta",
    "clip",
)


_KEY = "_configuration"
_SHOWN = ("images_seen", "sampler", "steps", "guidance")
_FIND = """SELECT DISTINCT run_id FROM (
 SELECT run_id, run_id AS word FROM runs UNION ALL SELECT run_id, name FROM members
 UNION ALL SELECT run_id, study || '/' || name FROM members)
WHERE word = ? OR (run_id = word AND starts_with(word, ?)) ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs: science fields that differ, {dotted path: (a, b)}, and metrics measured alike."""

    a: str
    b: str
    science: dict[str, tuple[Any, Any]]
    facts: dict[str, tuple[Any, Any]]
    results: list[dict[str, Any]]
    only_a: int
    only_b: int


def differences(con: duckdb.DuckDBPyConnection, first: str, second: str) -> Difference:
    """Return how two runs differ; each is named by its id, the start of it, or its name in a study.

    Raises UserError for a word that means no run, or several.
    """
    a = find_run(con, first)
    b = find_run(con, second)
    rows = {r["run_id"]: r for r in _ask(con, "SELECT * FROM runs WHERE run_id IN (?, ?)", [a, b])}
    science = {}
    for column in science_columns():
        pair = rows[a][column.name], rows[b][column.name]
        if pair[0] != pair[1]:
            half, _, field = column.name.partition("_")
            science[f"{half}.{field}"] = pair
    facts = {
        k: (rows[a][k], rows[b][k])
        for k in ("params", "fwd_gmacs", "train_flops", "outcome", "images_seen")
    }
    results, only_a, only_b = _results(con, a, b)
    return Difference(
        a, b, science, {k: v for k, v in facts.items() if v[0] != v[1]}, results, only_a, only_b
    )


def find_run(con: duckdb.DuckDBPyConnection, word: str) -> str:
    """Return the id of the run that `word` means.

    Raises UserError with the nearest names where no run or several match.
    """
    found = [r["run_id"] for r in _ask(con, _FIND, [word, word])] if word else []
    there = {r["run_id"] for r in _ask(con, "SELECT run_id FROM runs")}
    found = [run for run in found if run in there]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise UserError(
            f"{word!r} means {len(found)} runs ({', '.join(found[:4])}, …): give the whole id, or "
            "STUDY/NAME"
        )
    names = [
        r["name"] for r in _ask(con, "SELECT DISTINCT name FROM members WHERE name IS NOT NULL")
    ]
    raise UserError(
        f"no run {word!r}{nearest(word, [*names, *there])}; `ditlab query` lists the runs"
    )


def _results(
    con: duckdb.DuckDBPyConnection, a: str, b: str
) -> tuple[list[dict[str, Any]], int, int]:
    """Return metrics measured alike in both runs, and the evaluations that one run lacks."""
    sides: list[dict[tuple[Any, ...], dict[str, Any]]] = []
    for run in (a, b):
        rows = _ask(con, "SELECT * FROM evals WHERE run_id = ?", [run])
        sides.append({tuple(r[k] for k in SETTINGS): r for r in rows})
    found = []
    noises = _Noises(con)
    for key in sorted(sides[0].keys() & sides[1].keys(), key=repr):
        left = sides[0][key]
        right = sides[1][key]
        shown = {k: v for k, v in zip(SETTINGS, key, strict=True) if k in _SHOWN}
        for metric in metric_names(left):
            if left[metric] is not None and right.get(metric) is not None:
                found.append({**shown, "metric": metric, **_compared(metric, left, right, noises)})
    return found, len(sides[0].keys() - sides[1].keys()), len(sides[1].keys() - sides[0].keys())


class _Noises:
    """The noise of each metric and protocol, from the repeats of the whole results folder."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.rows: dict[str, pd.DataFrame] = {}
        self.models: dict[tuple[str, str], NoiseModel] = {}

    def of(self, metric: str, protocol: str) -> NoiseModel:
        """Return the noise model of a metric under a protocol."""
        if protocol not in self.rows:
            text = "SELECT * FROM results WHERE protocol = ?"
            rows = query.ask(self.con, text, [protocol]).to_pandas()
            self.rows[protocol] = rows.assign(**{_KEY: config_key(rows)})
        if (metric, protocol) not in self.models:
            rows = self.rows[protocol]
            rows = rows[rows[metric].notna()]
            self.models[metric, protocol] = noise_of(
                rows, metric, scale_in(rows, metric), rows[_KEY]
            )
        return self.models[metric, protocol]


def _compared(
    metric: str, left: dict[str, Any], right: dict[str, Any], noises: _Noises
) -> dict[str, Any]:
    model = noises.of(metric, str(left["protocol"]))
    a, b = (model.mean([_training(metric, side, model)]) for side in (left, right))
    contrast = model.difference(a, b)
    return {
        "a": left[metric],
        "b": right[metric],
        "difference": right[metric] - left[metric],
        "verdict": "apart" if abs(contrast.gap) > contrast.half() else "within noise",
        "noise": model.pooled_sd,
        "noise_is_share": model.scale == "log",
        "noise_source": model.source,
    }


def _training(metric: str, row: dict[str, Any], model: NoiseModel) -> Training:
    """Return one run's value as a training with the noise of its record's interval."""
    ends = [row.get(f"{metric}_{end}") for end in ("low", "high")]
    low, high = (float("nan") if end is None else float(end) for end in ends)
    return Training(model.number(float(row[metric])), sample_sd_of(low, high, model.scale))


def metric_names(row: dict[str, Any]) -> list[str]:
    """Return the metrics of an evaluation: the columns that have an interval beside them."""
    return sorted(k for k in row if f"{k}_low" in row and f"{k}_high" in row)


def _ask(
    con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = query.ask(con, sql, values or []).to_pylist()
    return rows
