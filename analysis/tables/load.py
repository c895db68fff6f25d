"""The result tables as pandas frames: runs, evals, results, metrics, attempts, problems, sql.

Each call brings the index up to the records first. Units are in `frame.attrs["units"]`, the number
of damaged places in the records in `frame.attrs["problems"]`; with a study, the numbers its plan
asks for in `attrs["planned_runs"]` and `attrs["planned_evals"]`, so that a figure can say n of N.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.tables import one_run, query
from analysis.tables.columns import units
from analysis.tables.index import Index, update
from dit_core.records.paths import Store


def runs(results: Path | str | None = None, study: str | None = None) -> pd.DataFrame:
    """Return one row per run (columns: results/README.md).

    Raises UserError for a study that has no plan.
    """
    return _load("runs", results, study, "run_id")


def evals(results: Path | str | None = None, study: str | None = None) -> pd.DataFrame:
    """Return one row per evaluation; with a study only those its plan asks for."""
    return _load("evals", results, study, "run_id, images_seen, eval_id")


def results(results: Path | str | None = None, study: str | None = None) -> pd.DataFrame:
    """Return one row per evaluation with the columns of its run beside it."""
    return _load("results", results, study, "run_id, images_seen, eval_id")


def metrics(
    results: Path | str | None = None, study: str | None = None, run: str | None = None
) -> pd.DataFrame:
    """Return the training curves, or that of `run`; one row per training point.

    The latest attempt's row counts.

    The curve of one run looks at that run alone, so its `attrs["problems"]` are those of the run.
    """
    if run is None or study:
        return _load("metrics", results, study, "run_id, images", run)
    rows, problems = one_run.curve(Store.at(results), run)
    frame = to_pandas(rows)
    frame.attrs.update(units=units(frame.columns, "metrics"), problems=problems)
    return frame


def attempts(results: Path | str | None = None, study: str | None = None) -> pd.DataFrame:
    """Return one row per start of a run."""
    return _load("attempts", results, study, "run_id, attempt")


def problems(results: Path | str | None = None, study: str | None = None) -> pd.DataFrame:
    """Return one row per place in the records that is left out of the other tables."""
    return _load("problems", results, study, "path, line")


def sql(text: str, results: Path | str | None = None, values: tuple[Any, ...] = ()) -> pd.DataFrame:
    """Return the result of one SELECT over the tables; `values` fill its `?`.

    Raises UserError as query.ask does.
    """

    def work(index: Index) -> pd.DataFrame:
        with closing(query.connect(index, published="published" in text.lower())) as con:
            return to_pandas(query.ask(con, text, values))

    frame = query.retrying(update(Store.at(results)), work)
    frame.attrs["units"] = units(frame.columns)
    return frame


def _load(
    table: str, where: Path | str | None, study: str | None, order: str, run: str | None = None
) -> pd.DataFrame:
    def work(index: Index) -> pd.DataFrame:
        with closing(query.connect(index, study=study)) as con:
            planned = query.check_study(con, study) if study else {}
            only = " WHERE run_id = ?" if run else ""
            sql = f"SELECT * FROM {table}{only} ORDER BY {order}"
            frame = to_pandas(query.ask(con, sql, [run] if run else []))
            frame.attrs["problems"] = con.execute("SELECT count(*) FROM problems").fetchall()[0][0]
            frame.attrs.update(planned)
            return frame

    frame = query.retrying(update(Store.at(where)), work)
    frame.attrs["units"] = units(frame.columns, table)
    return frame


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a frame: integers of any size stay whole, missing stays missing."""
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    partial = {
        f.name for f in table.schema if f.type in nullable and table.column(f.name).null_count
    }
    frame = table.drop_columns(list(partial)).to_pandas()
    for name in partial:
        frame[name] = pd.array(
            table.column(name).to_pylist(), dtype=nullable[table.schema.field(name).type]
        )
    return frame[table.column_names]
