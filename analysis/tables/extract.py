"""One run's folder read into rows; every file that cannot be believed is named as a problem."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from analysis.tables.checked_json import content, count, document, number, origin, text
from analysis.tables.columns import HALVES, science_columns
from analysis.tables.extract_evals import read_evals
from dit_core.records.disk import fast_yaml
from dit_core.records.outcome import OUTCOMES
from dit_core.records.paths import RunPaths
from dit_core.records.rows import Problem, read_metrics
from dit_core.records.run_record import derived
from dit_core.study.science import ids
from dit_core.study.science.science import Science

# The same values under the names that people use.
_SHORT_NAMES = {
    "patch": "model_patch",
    "conditioning": "model_conditioning",
    "objective": "objective_name",
    "seed": "train_seed",
}
_SCIENCE = {c.name: c.type for c in science_columns()}


@dataclass
class RunRows:
    """What one run adds to each table; `metrics` is column-wise because it is long."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    evals: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    settled: bool = False


def read_run_folder(paths: RunPaths, root: Path) -> RunRows:
    """Return the rows of the run in `paths`; paths in problems are relative to `root`.

    A folder without a believable run.yaml gives problems only: what was trained there is not known.
    """
    rows = RunRows()
    run = _science_row(paths, rows)
    if run is None:
        rows.problems = [_relative(p, root) for p in rows.problems]
        return rows
    numbers = _numbers(paths.attempts)
    outcome = document(str(paths.outcome), rows.problems)
    if outcome is not None:
        _add_outcome(run, outcome, paths, rows.problems)
    for attempt in numbers:
        rows.attempts.append(_attempt_row(paths, attempt, rows.problems))
    run["attempts"] = len(numbers)
    run["attempts_open"] = sum(a["seconds"] is None for a in rows.attempts)
    closed = [
        a["seconds"] * (a["processes"] or 1) for a in rows.attempts if a["seconds"] is not None
    ]
    run["device_hours"] = sum(closed) / 3600 if closed else None
    rows.runs.append(run)
    rows.metrics = _curve(paths, numbers, rows.problems)
    rows.evals = read_evals(paths, rows.problems)
    rows.settled = (
        run["outcome"] in ("DONE", "DIVERGED")
        and not run["attempts_open"]
        and not paths.lease.exists()
    )
    rows.problems = [_relative(p, root) for p in rows.problems]
    return rows


@functools.cache
def neutral_values(family: str) -> dict[str, Any]:
    """Return {column: value} of fields younger than id version 1, which old records lack.

    `family` is the network's: a U-Net has no field of a Transformer, whatever its neutral value.
    """
    found = {}
    for half, models in HALVES.items():
        for model in models:
            if "family" in model.model_fields and model.model_fields["family"].default != family:
                continue
            for name, info in model.model_fields.items():
                if isinstance(info.json_schema_extra, dict) and "neutral" in info.json_schema_extra:
                    found[f"{half}_{name}"] = info.json_schema_extra["neutral"]
    return found


def _science_row(paths: RunPaths, rows: RunRows) -> dict[str, Any] | None:
    run_id = paths.root.name
    name = str(paths.run_yaml)
    try:
        record = fast_yaml.parse(content(name))
    except FileNotFoundError:
        rows.problems.append(
            Problem(name, "missing", "the folder has no run.yaml, so its science is not known")
        )
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, ValueError, RecursionError) as error:
        rows.problems.append(
            Problem(name, "torn", f"not readable as YAML ({type(error).__name__})")
        )
        return None
    if not isinstance(record, dict) or not isinstance(record.get("science"), dict):
        rows.problems.append(Problem(name, "torn", "holds no science"))
        return None
    if record.get("run_id") != run_id:
        rows.problems.append(
            Problem(name, "foreign", f"belongs to run {record.get('run_id')!r}: a moved folder")
        )
        return None
    science = record["science"]
    digest = _science_hash(record)
    if digest is not None and digest != record.get("sha256"):
        rows.problems.append(
            Problem(name, "altered", "its science does not give its own hash: the file was edited")
        )
        return None
    return {
        "run_id": run_id,
        "outcome": None,
        "reason": None,
        "images_seen": None,
        **science_values(science),
    }


def science_values(science: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a recorded science: fields, short names, what follows from it."""
    network = science.get("model")
    row = dict(neutral_values(str(network.get("family")) if isinstance(network, dict) else ""))
    for half, group in science.items():
        for key, value in (group if isinstance(group, dict) else {}).items():
            row[f"{half}_{key}"] = _typed(f"{half}_{key}", value)
    train = science.get("train")
    row |= _derived(
        json.dumps(
            {**science, "train": {**train, "seed": 0}} if isinstance(train, dict) else science
        )
    )
    for short, column in _SHORT_NAMES.items():
        row[short] = row.get(column)
    return row


@functools.lru_cache(maxsize=4096)
def _derived(science: str) -> dict[str, Any]:
    """Return what follows from a science: computed, since the copy in the record is under no hash.

    Missing where a later version of ditlab wrote fields that this one does not know.
    """
    try:
        return derived(Science.model_validate(json.loads(science)))
    except ValueError:
        return {}


def _science_hash(record: dict[str, Any]) -> str | None:
    """Return the hash of the recorded science; None for a record of another id version."""
    if ids.is_old(record):
        return None
    try:
        return ids.hash_of_plain(record["science"])
    except (TypeError, ValueError):  # a date, or a number that is not finite: no science of ours
        return ""


def _typed(key: str, value: Any) -> Any:
    """Return a science value in its column's type: 1 is 1.0 in a column of numbers."""
    kind = _SCIENCE.get(key)
    if value is None or kind is None:
        return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
    if kind == "number" and type(value) is int:
        return float(value)
    return value


def _add_outcome(
    run: dict[str, Any], record: dict[str, Any], paths: RunPaths, problems: list[Problem]
) -> None:
    name = str(paths.outcome)
    if record.get("run_id", run["run_id"]) != run["run_id"]:
        problems.append(
            Problem(name, "foreign", f"belongs to run {record['run_id']!r}: a moved file")
        )
    elif record.get("outcome") not in OUTCOMES or count(record.get("images_seen")) is None:
        problems.append(
            Problem(
                name, "type", f"outcome {record.get('outcome')!r}; allowed: {', '.join(OUTCOMES)}"
            )
        )
    else:
        run.update(
            outcome=record["outcome"],
            reason=text(record.get("reason")),
            images_seen=record["images_seen"],
        )


def _attempt_row(paths: RunPaths, attempt: int, problems: list[Problem]) -> dict[str, Any]:
    record = document(str(paths.attempt_record(attempt)), problems) or {}
    row = {"run_id": paths.root.name, "attempt": attempt, **origin(record)}
    for key in ("end", "reason", "device", "job", "started_at", "ended_at"):
        row[key] = text(record.get(key))
    for key in ("images_start", "images_end", "processes"):
        row[key] = count(record.get(key))
    seconds = number(record.get("seconds"))
    row["seconds"] = seconds if seconds is not None and seconds >= 0 else None
    return row


def _curve(paths: RunPaths, numbers: list[int], problems: list[Problem]) -> list[dict[str, Any]]:
    """Return the rows of all attempts, the latest attempt's at each training point, ascending."""
    merged: dict[int, dict[str, Any]] = {}
    for attempt in numbers:
        path = paths.metrics(attempt)
        packed = path.with_name(f"{path.name}.gz")
        if not path.exists() and packed.exists():
            path = packed
        rows, found = read_metrics(path)
        problems.extend(found)
        for row in rows:
            row["attempt"] = attempt
            if "nonfinite" in row:
                row["nonfinite"] = json.dumps(row["nonfinite"], sort_keys=True)
            merged[row["images"]] = row
    return [merged[images] for images in sorted(merged)]


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _relative(problem: Problem, root: Path) -> Problem:
    path = problem.path.removeprefix(f"{root}{os.sep}")
    return Problem(path, problem.kind, problem.detail, problem.line)
