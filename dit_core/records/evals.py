"""evals/<eval id>.json: one measurement of one run, published whole when it is finished."""

from __future__ import annotations

from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.fence import publishing
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.paths import RunPaths
from dit_core.records.provenance import now, provenance

SCHEMA = 1
_NEEDED = {"schema", "run_id", "eval_id", "evaluation", "protocol", "metrics"}


def write_eval(paths: RunPaths, eval_id: str, record: dict[str, Any]) -> dict[str, Any]:
    """Publish an evaluation and return the whole record; ids, time and provenance are added here.

    `record` holds `evaluation`, `protocol`, `metrics` ({name: {"value", "low", "high"}}), `seconds`
    and `device`.
    """
    whole = {
        "schema": SCHEMA,
        "run_id": paths.root.name,
        "eval_id": eval_id,
        **record,
        "ended_at": now(),
        "provenance": provenance(),
    }
    missing = _NEEDED - whole.keys()
    assert not missing, f"an evaluation record needs {missing}"
    with publishing(paths.eval(eval_id)):
        found = _whole(paths, eval_id)
        if found is None:
            write_json(paths.eval(eval_id), whole, sealed=True)
    return found or whole


def _whole(paths: RunPaths, eval_id: str) -> dict[str, Any] | None:
    """Return a record that is there already: one measurement is never replaced by another."""
    try:
        return read_eval(paths, eval_id)
    except RecordError:
        return None


def read_eval(paths: RunPaths, eval_id: str) -> dict[str, Any] | None:
    """Return the record of an evaluation; None without one; raise RecordError if it is torn."""
    path = paths.eval(eval_id)
    try:
        record = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(record, dict) or _NEEDED - record.keys():
        raise RecordError(f"{path}: is no evaluation record; `ditlab doctor` says how to mend it")
    if record["eval_id"] != eval_id or record["run_id"] != paths.root.name:
        raise RecordError(
            f"{path}: belongs to run {record['run_id']}, evaluation {record['eval_id']}: a moved "
            "file"
        )
    return record
