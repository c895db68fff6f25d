"""Evaluation records read into rows; an impossible measurement is left out and named."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from typing import Any

from analysis.tables.checked_json import count, document, number, origin, part, text
from analysis.tables.columns import evaluation_name, tables
from dit_core.records.paths import RunPaths
from dit_core.records.rows import Problem
from dit_core.study.catalogue.metrics import METRICS

MAX_MET = 4096
_settings_met: dict[str, dict[str, Any] | str] = {}
_protocols_met: dict[str, str] = {}
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KINDS = {"text": (str,), "integer": (int,), "number": (int, float), "yes/no": (bool,)}


def read_evals(paths: RunPaths, problems: list[Problem]) -> list[dict[str, Any]]:
    """Return a row per believable evaluation of a run, in the order of their ids."""
    folder = str(paths.evals)
    try:
        names = sorted(
            n for n in os.listdir(folder) if n.endswith(".json") and not n.startswith(".")
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    rows = []
    for name in names:
        path = f"{folder}/{name}"
        record = document(path, problems)
        if (
            record is not None
            and (row := _row(record, paths.root.name, path, problems)) is not None
        ):
            rows.append(row)
    return rows


def _row(
    record: dict[str, Any], run_id: str, path: str, problems: list[Problem]
) -> dict[str, Any] | None:
    if record.get("run_id") != run_id or f"{record.get('eval_id')}.json" != os.path.basename(path):
        names = [str(record.get(key))[:40] for key in ("run_id", "eval_id")]
        detail = f"belongs to run {names[0]!r}, evaluation {names[1]!r}: a moved file"
        problems.append(Problem(path, "foreign", detail))
        return None
    asked = record.get("evaluation")
    metrics = record.get("metrics")
    if (
        not isinstance(asked, dict)
        or not isinstance(metrics, dict)
        or count(asked.get("images_seen")) is None
    ):
        problems.append(Problem(path, "type", "lacks its evaluation or its metrics"))
        return None
    settings = _known_settings(str(asked), asked)
    if isinstance(settings, str):
        problems.append(Problem(path, "type", settings))
        return None
    row = dict(settings)
    marks = record.get("marks")
    row |= {"run_id": run_id, "eval_id": record["eval_id"], **origin(record)}
    row["protocol_hash"] = _known_protocol(record.get("protocol"))
    row["marks"] = ", ".join(map(str, marks)) or None if isinstance(marks, list) else None
    row["seconds"] = number(record.get("seconds"))
    row["device"] = text(record.get("device"))
    row["ended_at"] = text(record.get("ended_at"))
    for name, entry in metrics.items():
        _add_metric(row, name, entry, path, problems)
    return row


def _add_metric(
    row: dict[str, Any], name: str, entry: Any, path: str, problems: list[Problem]
) -> None:
    """Add a metric and its interval, or a problem where it is no possible number."""
    if not _METRIC.fullmatch(name) or name in row or name in _taken():
        problems.append(Problem(path, "type", f"{name[:40]!r} is no name for a metric; left out"))
        return
    parts = entry if isinstance(entry, dict) else {"value": entry}
    value = parts.get("value")
    if value is None:
        return
    found = number(value)
    if found is None:
        kind = "nonfinite" if isinstance(value, float) else "type"
        problems.append(Problem(path, kind, f"{name} is {str(value)[:40]!r}; left out"))
        return
    if found <= 0 and name in METRICS and METRICS[name].positive:
        problems.append(
            Problem(path, "type", f"{name} is {found}, which no distance can be; left out")
        )
        return
    row[name] = found
    for end in ("low", "high"):
        row[f"{name}_{end}"] = number(parts.get(end))


def _fits(value: Any, kind: str) -> bool:
    """Return whether a setting has its column's type; integers fit 64 bits, numbers are finite."""
    if type(value) not in _KINDS[kind]:
        return False
    return kind not in ("integer", "number") or (number(value) is not None and abs(value) < 1 << 63)


@functools.cache
def _settings() -> dict[str, str]:
    """Return {column: type} of an evaluation's own fields."""
    return {c.name: c.type for c in tables()["evals"][2:]}


@functools.cache
def _taken() -> frozenset[str]:
    """Return the names that mean something else in the tables, so that no metric can take them."""
    return frozenset(c.name for name in ("evals", "runs") for c in tables()[name])


def _known_settings(words: str, asked: dict[str, Any]) -> dict[str, Any] | str:
    """Return the columns of an evaluation's settings, or what is wrong with them.

    A grid has few different settings, so each is checked once.
    """
    if words not in _settings_met:
        if len(_settings_met) > MAX_MET:
            _settings_met.clear()
        _settings_met[words] = _read_settings(asked)
    return _settings_met[words]


def _read_settings(asked: dict[str, Any]) -> dict[str, Any] | str:
    found = {}
    for key, value in {**asked, **part(asked, "sampling")}.items():
        name = evaluation_name(key)
        if key == "sampling" or name not in _settings():
            continue
        if value is not None and not _fits(value, _settings()[name]):
            return f"{key} is {str(value)[:40]!r}, not {_settings()[name]}"
        found[name] = value
    return found


def _known_protocol(protocol: Any) -> str:
    """Return 16 digits of the sha256 of a protocol's JSON, whatever the order of its keys."""
    words = str(protocol)
    if words not in _protocols_met:
        if len(_protocols_met) > MAX_MET:
            _protocols_met.clear()
        digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()
        _protocols_met[words] = digest[:16]
    return _protocols_met[words]
