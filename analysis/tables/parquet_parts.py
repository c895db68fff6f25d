"""Parquet parts of the index: files with page checksums, verified on every read."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.tables import columns
from analysis.tables.extract import RunRows, read_run_folder
from analysis.tables.scan import RACY_NS, newest, signature
from dit_core.records.disk.files import naming
from dit_core.records.paths import RunPaths, Store
from dit_core.records.rows import Problem

ROW_GROUP = 1 << 16
FLUSH_RUNS = 250
TABLES = ("runs", "evals", "metrics", "attempts", "problems", "state")
STATE = pa.schema([("run_id", pa.string()), ("settled", pa.bool_()), ("signature", pa.string())])
Part = dict[str, Any]


class IndexDamagedError(Exception):
    """A part of the index is missing or altered; the index is rebuilt then."""


def fixed_schema(table: str) -> pa.Schema:
    """Return the schema of a table's fixed columns."""
    return STATE if table == "state" else columns.schema(table)


def build_parts(store: Store, ids: list[str], folder: Path, now: int) -> list[Part]:
    """Read the runs `ids` and write one part per table that has rows; return the parts.

    `now` is the file system's time (ns) before the scan: a folder touched in the two seconds before
    it, or later, is read again at the next update, because a second change in the same tick of the
    clock would leave no trace.
    """
    pending: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    tables: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
    for position, run_id in enumerate(ids, 1):
        paths = store.run(run_id)
        rows, settled, sign = _read(paths, store)
        if newest(sign) > now - RACY_NS:
            sign = ""
        collect_rows(pending, run_id, rows)
        pending["state"].append({"run_id": run_id, "settled": settled, "signature": sign})
        if position % FLUSH_RUNS == 0 or position == len(ids):
            for name, waiting in pending.items():
                if waiting:
                    tables[name].append(build_table(name, waiting))
                    waiting.clear()
    return [
        write_part(folder, name, pa.concat_tables(t, promote_options="default"))
        for name, t in tables.items()
        if t
    ]


def _read(paths: RunPaths, store: Store) -> tuple[RunRows, bool, str]:
    """Return a run's rows and the signature of its folder, taken before they were read."""
    where = str(paths.root)
    ended = paths.outcome.exists()
    sign = signature(where, settled=ended)
    rows = read_run_folder(paths, store.root)
    if ended and not rows.settled:
        ended = False
        sign = signature(where, settled=False)
        rows = read_run_folder(paths, store.root)
    return rows, ended, sign


def collect_rows(pending: dict[str, list[dict[str, Any]]], run_id: str, rows: RunRows) -> None:
    """Add what one run's folder holds to the waiting rows of each table."""
    pending["runs"] += rows.runs
    pending["evals"] += rows.evals
    pending["attempts"] += rows.attempts
    pending["problems"] += [_problem(run_id, p) for p in rows.problems]
    for row in rows.metrics:
        row["run_id"] = run_id
        row.pop("crc", None)
    pending["metrics"] += rows.metrics


def _problem(run_id: str, p: Problem) -> dict[str, Any]:
    return {"run_id": run_id, "path": p.path, "line": p.line, "kind": p.kind, "detail": p.detail}


def build_table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as a table; a further column is of numbers where all are, else text."""
    schema = fixed_schema(name)
    data: dict[str, pa.Array] = {}
    found = _columns(rows)
    for column in schema:
        values = found.pop(column.name, None)
        data[column.name] = (
            pa.nulls(len(rows), column.type) if values is None else to_array(values, column.type)
        )
    for key, values in sorted(found.items()):
        if all(type(v) in (int, float) or v is None for v in values):
            data[key] = pa.array([None if v is None else float(v) for v in values], pa.float64())
        else:  # a name of its own, so that one column never has two types in two parts
            data[f"{key}_text"] = to_array(
                [None if v is None else str(v) for v in values], pa.string()
            )
    return pa.table(data)


def _columns(rows: list[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of each key of the rows; a row without the key has None."""
    names = sorted(set(chain.from_iterable(rows)))
    try:
        return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    except KeyError:
        return {name: [row.get(name) for row in rows] for name in names}


def to_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return a column; a value of another type (an edited record) is missing, not converted."""
    try:
        return pa.array(values, kind)
    except (ValueError, TypeError, OverflowError):
        return pa.array([_cell(v, str(kind)) for v in values], kind)


def _cell(value: Any, kind: str) -> Any:
    """Return a value as its column can hold it, else None; invalid Unicode is replaced."""
    if type(value) is not {"int64": int, "double": float, "string": str, "bool": bool}[kind]:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return None
    return value


def write_part(folder: Path, table: str, data: pa.Table) -> Part:
    """Write one part under a new name, synced; return its entry in the manifest."""
    path = folder / f"{table}-{uuid.uuid4().hex[:16]}.parquet"
    try:
        with naming(path), open(path, "xb") as file:
            pq.write_table(
                data, file, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True
            )
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    extra = {f.name: str(f.type) for f in data.schema if f.name not in fixed_schema(table).names}
    return {
        "table": table,
        "file": path.name,
        "rows": data.num_rows,
        "bytes": path.stat().st_size,
        "footer": footer_hash(path),
        "extra": extra,
        "runs": list(pc.min_max(data["run_id"]).as_py().values()),
    }


def footer_hash(path: Path) -> str:
    """Return the sha256 of a Parquet file's footer.

    The footer holds the place, size and checksum frame of every page.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little") + 8
        if tail[4:] != b"PAR1" or length > size:
            raise IndexDamagedError(f"{path}: no Parquet footer")
        file.seek(size - length)
        return hashlib.sha256(file.read(length)).hexdigest()


def check_part(folder: Path, part: Part) -> Path:
    """Return the path of a part whose size and footer match the manifest.

    Raises IndexDamagedError otherwise.
    """
    path = folder / str(part["file"])
    try:
        whole = path.stat().st_size == part["bytes"] and footer_hash(path) == part["footer"]
    except OSError as error:
        raise IndexDamagedError(f"{path}: {error.strerror}") from error
    if not whole:
        raise IndexDamagedError(f"{path}: is not the file the manifest names")
    return path


def open_parts(folder: Path, parts: list[Part], table: str) -> ds.Dataset:
    """Return the parts of one table as a dataset that verifies page checksums on every read."""
    mine = [p for p in parts if p["table"] == table]
    schema = full_schema(table, mine)
    if not mine:
        return ds.dataset(pa.table({f.name: pa.array([], f.type) for f in schema}))
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form = ds.ParquetFileFormat(default_fragment_scan_options=options)
    return ds.dataset([str(check_part(folder, p)) for p in mine], schema=schema, format=form)


def rows_of_run(folder: Path, parts: list[Part], table: str, run_id: str) -> pa.Table:
    """Return one run's rows of one table; only parts that can hold it are read.

    Raises IndexDamagedError where a part is missing or is not what it was written as.
    """
    found = []
    parts = [part for part in parts if part["table"] == table]
    for part in parts:
        if part["rows"] and part["runs"][0] <= run_id <= part["runs"][1]:
            path = check_part(folder, part)
            try:
                found.append(_rows_in(path, run_id))
            except (OSError, pa.ArrowException) as error:
                raise IndexDamagedError(f"{path}: {error}") from error
    schema = full_schema(table, parts)
    whole = pa.concat_tables(found, promote_options="default") if found else schema.empty_table()
    return as_schema(whole, schema)


def _rows_in(path: Path, run_id: str) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        column = file.schema_arrow.get_field_index("run_id")
        bounds = [
            file.metadata.row_group(g).column(column).statistics for g in range(file.num_row_groups)
        ]
        groups = [
            g for g, s in enumerate(bounds) if not (s and s.has_min_max) or s.min <= run_id <= s.max
        ]
        rows = file.read_row_groups(groups)
    return rows.filter(pc.equal(rows["run_id"], run_id))


def as_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of `schema`, in its order; a column they lack is missing."""
    have = set(rows.column_names)
    data = [rows[f.name] if f.name in have else pa.nulls(len(rows), f.type) for f in schema]
    return pa.table(data, schema=schema)


def full_schema(table: str, parts: list[Part]) -> pa.Schema:
    """Return the fixed columns and the further ones of `parts`."""
    extra = {name: kind for part in parts for name, kind in part["extra"].items()}
    further = [
        (n, pa.string() if k == "string" else pa.float64()) for n, k in sorted(extra.items())
    ]
    fixed = fixed_schema(table)
    return pa.schema([*fixed, *(pa.field(n, k) for n, k in further)])
