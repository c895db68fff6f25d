"""One run's folder -> rows of the tables, with every file that cannot be believed named as a problem."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from analysis.columns import evaluation_name, neutral_values, science_columns
from dit_core.records import plain_yaml
from dit_core.records.outcome import OUTCOMES
from dit_core.records.paths import RunPaths
from dit_core.records.rows import Problem, read_metrics
from dit_core.records.run import derived
from dit_core.study.science import Science

MAX_RECORD = 16 << 20
_NEVER_ZERO = ("fd", "fid", "sfid")
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
    outcome = _document(str(paths.outcome), rows.problems)
    if outcome is not None:
        _add_outcome(run, outcome, paths, rows.problems)
    for number in numbers:
        rows.attempts.append(_attempt_row(paths, number, rows.problems))
    run["attempts"] = len(numbers)
    run["attempts_open"] = sum(a["seconds"] is None for a in rows.attempts)
    closed = [a["seconds"] * (a["processes"] or 1) for a in rows.attempts if a["seconds"] is not None]
    run["device_hours"] = sum(closed) / 3600 if closed else None
    rows.runs.append(run)
    rows.metrics = _curve(paths, numbers, rows.problems)
    rows.evals = _evals(paths, rows.problems)
    rows.settled = run["outcome"] in ("DONE", "DIVERGED") and not run["attempts_open"] and not paths.lease.exists()
    rows.problems = [_relative(p, root) for p in rows.problems]
    return rows


def _science_row(paths: RunPaths, rows: RunRows) -> dict[str, Any] | None:
    run_id = paths.root.name
    name = str(paths.run_yaml)
    try:
        record = plain_yaml.parse(_bytes(name))
    except FileNotFoundError:
        rows.problems.append(Problem(name, "missing", "the folder has no run.yaml, so its science is not known"))
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, ValueError, RecursionError) as error:
        rows.problems.append(Problem(name, "torn", f"not readable as YAML ({type(error).__name__})"))
        return None
    if not isinstance(record, dict) or not isinstance(record.get("science"), dict):
        rows.problems.append(Problem(name, "torn", "holds no science"))
        return None
    if record.get("run_id") != run_id:
        rows.problems.append(Problem(name, "foreign", f"belongs to run {record.get('run_id')!r}: a moved folder"))
        return None
    science = record["science"]
    digest = _science_hash(record)
    if digest is not None and digest != record.get("sha256"):
        rows.problems.append(Problem(name, "altered", "its science does not give its own hash: the file was edited"))
        return None
    row: dict[str, Any] = {**neutral_values(), "run_id": run_id, "outcome": None, "reason": None, "images_seen": None}
    for half, group in science.items():
        for key, value in (group if isinstance(group, dict) else {}).items():
            row[f"{half}_{key}"] = _typed(f"{half}_{key}", value)
    train = science.get("train")
    row.update(_derived(json.dumps({**science, "train": {**train, "seed": 0}} if isinstance(train, dict) else science)))
    row["patch"], row["conditioning"] = row.get("model_patch"), row.get("model_conditioning")
    row["objective"], row["seed"] = row.get("objective_name"), row.get("train_seed")
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
    """Return the hash of the recorded science, as dit_core.study.ids writes it; None for another id version."""
    if record.get("id_version") != 1:
        return None
    text = json.dumps(record["science"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"ditlab-run-1\n{text}".encode()).hexdigest()


def _typed(key: str, value: Any) -> Any:
    """Return a science value in its column's type: 1 is 1.0 in a column of numbers."""
    kind = _SCIENCE.get(key)
    if value is None or kind is None:
        return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
    if kind == "number" and type(value) is int:
        return float(value)
    return value


def _add_outcome(run: dict[str, Any], record: dict[str, Any], paths: RunPaths, problems: list[Problem]) -> None:
    name = str(paths.outcome)
    if record.get("run_id", run["run_id"]) != run["run_id"]:
        problems.append(Problem(name, "foreign", f"belongs to run {record['run_id']!r}: a moved file"))
    elif record.get("outcome") not in OUTCOMES or not _count(record.get("images_seen")):
        problems.append(Problem(name, "type", f"outcome {record.get('outcome')!r}; allowed: {', '.join(OUTCOMES)}"))
    else:
        run.update(outcome=record["outcome"], reason=_text(record.get("reason")), images_seen=record["images_seen"])


def _attempt_row(paths: RunPaths, number: int, problems: list[Problem]) -> dict[str, Any]:
    record = _document(f"{paths.attempt(number)}/attempt.json", problems) or {}
    origin = record.get("provenance")
    origin = origin if isinstance(origin, dict) else {}
    row = {"run_id": paths.root.name, "attempt": number}
    for key in ("end", "reason", "device", "job", "started_at", "ended_at"):
        row[key] = _text(record.get(key))
    for key in ("images_start", "images_end", "processes"):
        row[key] = record.get(key) if _count(record.get(key)) else None
    seconds = _number(record.get("seconds"))
    row["seconds"] = seconds if seconds is not None and seconds >= 0 else None
    row["host"], row["commit"], row["dirty"] = _text(origin.get("host")), _text(origin.get("commit")), _bool(origin)
    return row


def _curve(paths: RunPaths, numbers: list[int], problems: list[Problem]) -> list[dict[str, Any]]:
    """Return the rows of all attempts, the latest attempt's at each training point, ascending."""
    merged: dict[int, dict[str, Any]] = {}
    for number in numbers:
        folder = paths.attempt(number)
        path = folder / "metrics.jsonl"
        if not path.exists() and (folder / "metrics.jsonl.gz").exists():
            path = folder / "metrics.jsonl.gz"
        rows, found = read_metrics(path)
        problems.extend(found)
        for row in rows:
            row["attempt"] = number
            if "nonfinite" in row:
                row["nonfinite"] = json.dumps(row["nonfinite"], sort_keys=True)
            merged[row["images"]] = row
    return [merged[images] for images in sorted(merged)]


def _evals(paths: RunPaths, problems: list[Problem]) -> list[dict[str, Any]]:
    try:
        names = sorted(n for n in os.listdir(paths.evals) if n.endswith(".json") and not n.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    rows = []
    folder = str(paths.evals)
    for name in names:
        path = f"{folder}/{name}"
        record = _document(path, problems)
        if record is not None and (row := _eval_row(record, paths.root.name, path, problems)) is not None:
            rows.append(row)
    return rows


def _eval_row(record: dict[str, Any], run_id: str, path: str, problems: list[Problem]) -> dict[str, Any] | None:
    if record.get("run_id") != run_id or f"{record.get('eval_id')}.json" != os.path.basename(path):
        detail = f"belongs to run {record.get('run_id')!r}, evaluation {record.get('eval_id')!r}: a moved file"
        problems.append(Problem(path, "foreign", detail))
        return None
    asked, metrics, protocol = record.get("evaluation"), record.get("metrics"), record.get("protocol")
    if not isinstance(asked, dict) or not isinstance(metrics, dict) or not _count(asked.get("images_seen")):
        problems.append(Problem(path, "type", "lacks its evaluation or its metrics"))
        return None
    row: dict[str, Any] = {"run_id": run_id, "eval_id": record["eval_id"]}
    for key, value in {**asked, **(asked.get("sampling") or {})}.items():
        if key != "sampling":
            row[evaluation_name(key)] = value
    row["protocol_hash"] = _protocol_hash(json.dumps(protocol))
    row["marks"] = ", ".join(map(str, record.get("marks") or ())) or None
    for name, entry in metrics.items():
        _add_metric(row, name, entry, path, problems)
    origin = record.get("provenance")
    origin = origin if isinstance(origin, dict) else {}
    row["seconds"], row["device"] = _number(record.get("seconds")), _text(record.get("device"))
    row["host"], row["commit"], row["dirty"] = _text(origin.get("host")), _text(origin.get("commit")), _bool(origin)
    row["ended_at"] = _text(record.get("ended_at"))
    return row


def _add_metric(row: dict[str, Any], name: str, entry: Any, path: str, problems: list[Problem]) -> None:
    """Add a metric and its interval; one that is no finite, possible number is left out and named."""
    parts = entry if isinstance(entry, dict) else {"value": entry}
    value = parts.get("value")
    if value is None:
        return
    number = _number(value)
    if number is None:
        kind = "nonfinite" if isinstance(value, float) else "type"
        problems.append(Problem(path, kind, f"{name} is {str(value)[:40]!r}; left out"))
        return
    if number <= 0 and name.partition("_")[0] in _NEVER_ZERO:
        problems.append(Problem(path, "type", f"{name} is {number}, which no distance can be; left out"))
        return
    row[name] = number
    for end in ("low", "high"):
        row[f"{name}_{end}"] = _number(parts.get(end))


def _document(path: str, problems: list[Problem]) -> dict[str, Any] | None:
    """Return the JSON object of a record, or None (absent, or a problem noted)."""
    try:
        record = json.loads(_bytes(path).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problems.append(Problem(path, "unreadable", error.strerror or "cannot be read"))
        return None
    except (ValueError, RecursionError) as error:
        problems.append(Problem(path, "torn", f"not readable as JSON ({str(error)[:80]})"))
        return None
    if not isinstance(record, dict):
        problems.append(Problem(path, "type", "holds no record"))
        return None
    return record


def _bytes(path: str) -> bytes:
    """Return a small file's content; raise ValueError for one that is larger than any record."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
            if len(parts) > MAX_RECORD >> 16:
                raise ValueError(f"larger than {MAX_RECORD >> 20} MB")
    finally:
        os.close(descriptor)
    return b"".join(parts)


@functools.lru_cache(maxsize=1024)
def _protocol_hash(text: str) -> str:
    """Return 16 digits of the sha256 of a protocol's JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()[:16]


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _relative(problem: Problem, root: Path) -> Problem:
    path = problem.path.removeprefix(f"{root}{os.sep}")
    return Problem(path, problem.kind, problem.detail, problem.line)


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bool(origin: dict[str, Any]) -> bool | None:
    return origin["dirty"] if isinstance(origin.get("dirty"), bool) else None
