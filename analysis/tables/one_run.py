"""One run's training curve, read without looking at any other run.

It comes from the index where that is up to date, else from the records.

Connecting the SQL engine to the tables of a large store takes longer than reading one run, and so
does looking for changes in all runs.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa

from analysis.tables.columns import schema
from analysis.tables.extract import read_run_folder
from analysis.tables.index import Index, load
from analysis.tables.parquet_parts import (
    TABLES,
    IndexDamagedError,
    Part,
    as_schema,
    build_table,
    collect_rows,
    full_schema,
    rows_of_run,
)
from analysis.tables.scan import signature
from dit_core.records.paths import Store


def curve(store: Store, run_id: str) -> tuple[pa.Table, int]:
    """Return one run's metrics by training point, and the number of damaged places.

    The columns are those of the whole table. A run that is not there has no rows.
    """
    index = load(store)
    found = None
    with contextlib.suppress(IndexDamagedError):  # then the records say it
        layer = _layer(index, run_id)
        if layer is not None:
            rows = rows_of_run(index.folder, layer, "metrics", run_id)
            found = rows, len(rows_of_run(index.folder, layer, "problems", run_id))
    rows, problems = found or _recorded(store, run_id)
    known = full_schema(
        "metrics", [part for layer in index.layers for part in layer if part["table"] == "metrics"]
    )
    further = [field for field in rows.schema if field.name not in known.names]
    return as_schema(rows, pa.schema([*known, *further])).sort_by("images"), problems


def _layer(index: Index, run_id: str) -> list[Part] | None:
    """Return the layer that holds a run as its folder is now, or None."""
    for layer, replaced in zip(reversed(index.layers), reversed(index.replaces), strict=True):
        state = rows_of_run(index.folder, layer, "state", run_id).to_pylist()
        if state:
            then = state[0]["signature"]
            now = signature(str(index.store.run(run_id).root), settled=state[0]["settled"])
            return layer if then and then == now else None
        if run_id in replaced:
            return None
    return None


def _recorded(store: Store, run_id: str) -> tuple[pa.Table, int]:
    """Return the same from the run's own files."""
    pending: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    if "/" not in run_id and store.run(run_id).root.is_dir():
        collect_rows(pending, run_id, read_run_folder(store.run(run_id), store.root))
    rows = pending["metrics"]
    return build_table("metrics", rows) if rows else schema("metrics").empty_table(), len(
        pending["problems"]
    )
