"""Which runs and evaluations belong to which study, read from the plans of the studies."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.tables.checked_json import number
from analysis.tables.columns import schema
from analysis.tables.parquet_parts import Part, to_array, write_part
from dit_core.records.paths import Store

Row = dict[str, Any]


def build(store: Store, plans: dict[str, str], folder: Path) -> list[Part]:
    """Write the table of members from the plans {path: signature}.

    A torn plan gives no rows; `ditlab doctor` names it.
    """
    rows: list[Row] = []
    for path in sorted(plans):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            rows += plan_rows(json.loads(Path(path).read_bytes()), Path(path).parent.name)
    if not rows:
        return []
    columns = {f.name: to_array([r.get(f.name) for r in rows], f.type) for f in schema("members")}
    return [write_part(folder, "members", pa.table(columns))]


def plan_rows(plan: Any, study: str) -> list[Row]:
    """Return one row per run and evaluation of a plan.

    A run without evaluations has one row without eval_id.
    """
    found: list[Row] = []
    for run in plan.get("runs", ()) if isinstance(plan, dict) else ():
        if not isinstance(run, dict) or not isinstance(run.get("run_id"), str):
            continue
        row = {
            "study": study,
            "run_id": run["run_id"],
            "name": run.get("name") if isinstance(run.get("name"), str) else None,
            "predicted_hours": number(run.get("predicted_hours")),
            "predicted_eval_hours": number(run.get("predicted_eval_hours")),
        }
        evaluations = [_eval_id(e) for e in run.get("evaluations", ())]
        found += [{**row, "eval_id": e} for e in evaluations if e] or [{**row, "eval_id": None}]
    return found


def _eval_id(entry: Any) -> str | None:
    """Return the id of a plan's evaluation: the entry itself, or its `eval_id`."""
    value = entry.get("eval_id") if isinstance(entry, dict) else entry
    return value if isinstance(value, str) else None
