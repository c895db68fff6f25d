"""SQL over the result tables: DuckDB in memory, read-only, bounded in time and memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from analysis.tables.columns import schema
from analysis.tables.index import Index, update
from analysis.tables.parquet_parts import IndexDamagedError, open_parts
from dit_core.errors import UserError, nearest

TIMEOUT_S = 60.0
MEMORY = "1GB"
MAX_BYTES = 1 << 30
VIEWS = ("runs", "evals", "results", "metrics", "attempts", "members", "problems")
_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": MEMORY,
    "temp_directory": "",
    "max_temp_directory_size": "0B",
}
# What Arrow says through DuckDB when a part fails its checksums, does not unpack, or has gone.
_DAMAGE = (
    "CRC checksum",
    "Corrupt",
    "corrupt",
    "Couldn't deserialize",
    "No such file",
    "ZSTD",
    "Unexpected end",
)
# `SHOW TABLES` would name what the views are made of, too.
_SHOWS_TABLES = re.compile(r"\s*show\s+tables\s*;?\s*", re.IGNORECASE)
_LIST_TABLES = """
SELECT if(table_schema = 'main', '', table_schema || '.') || table_name AS name
FROM information_schema.tables WHERE table_name[1] <> '_' ORDER BY 1
"""
Answer = TypeVar("Answer")
_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_FROM_PLANS = """
SELECT r.* REPLACE (
  m.study AS study, m.name AS name, m.predicted_hours AS predicted_hours,
  m.planned_evals AS planned_evals, m.predicted_eval_hours AS predicted_eval_hours
) FROM _runs r
"""
_SUMS = """
max(predicted_hours) AS predicted_hours, count(DISTINCT eval_id) AS planned_evals,
max(predicted_eval_hours) AS predicted_eval_hours FROM members
"""
_OF_ALL = f"""
{_FROM_PLANS} LEFT JOIN (
  SELECT run_id, string_agg(DISTINCT study, ',' ORDER BY study) study,
  min_by(name, study) AS name, {_SUMS} GROUP BY run_id
) m USING (run_id)
"""
_OF_ONE = f"""
{_FROM_PLANS} JOIN (
  SELECT run_id, min(study) study, min(name) AS name, {_SUMS}
  WHERE study = {{study}} GROUP BY run_id
) m USING (run_id)
"""
_EVALS_OF_ONE = """
SELECT e.* FROM _evals e
JOIN (SELECT run_id, eval_id FROM members WHERE study = {study}) m USING (run_id, eval_id)
"""
_PUBLISHED_NAMES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = 'published' ORDER BY 1
"""


def connect(
    index: Index, *, study: str | None = None, published: bool = False
) -> duckdb.DuckDBPyConnection:
    """Return a locked connection to the tables of `index`, or to the part in `study`'s plan.

    Views: runs, evals, results (evals with the columns of their runs), metrics, attempts, members,
    problems; with `published` the paper's tables in the schema of that name.
    """
    con = duckdb.connect(":memory:", config=_LOCKED)
    for table in ("runs", "evals", "metrics", "attempts", "problems"):
        _stack(con, index, table)
    con.register("members", open_parts(index.folder, index.members, "members"))
    word = "'" + (study or "").replace("'", "''") + "'"
    evals = _EVALS_OF_ONE.format(study=word) if study else "SELECT * FROM _evals"
    con.execute("CREATE VIEW runs AS " + (_OF_ONE.format(study=word) if study else _OF_ALL))
    con.execute("CREATE VIEW evals AS " + evals)
    for table in ("metrics", "attempts", "problems"):
        only = " WHERE run_id IN (SELECT run_id FROM runs)" if study else ""
        con.execute(f"CREATE VIEW {table} AS SELECT * FROM _{table}{only}")
    _add_results(con)
    if published:
        _add_published(con)
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def _add_results(con: duckdb.DuckDBPyConnection) -> None:
    """Make the view `results`; a column of both tables is that of the evaluation."""
    both = sorted(set(_columns(con, "evals")) & set(_columns(con, "runs")) - {"run_id"})
    hidden = f" EXCLUDE ({', '.join(both)})" if both else ""
    runs = f"(SELECT *{hidden} FROM runs)"
    con.execute(f"CREATE VIEW results AS SELECT * FROM evals JOIN {runs} USING (run_id)")


def _stack(con: duckdb.DuckDBPyConnection, index: Index, table: str) -> None:
    """Make the view `_<table>`: each layer's rows but for the runs that a higher layer replaces."""
    selects = []
    for number, layer in enumerate(index.layers):
        if not any(p["table"] == table for p in layer):
            continue
        name = f"_{table}_{number}"
        con.register(name, open_parts(index.folder, layer, table))
        hidden = index.hidden(number)
        only = ""
        if hidden:
            con.register(f"{name}_hidden", pa.table({"run_id": pa.array(hidden, pa.string())}))
            only = f" WHERE run_id NOT IN (SELECT run_id FROM {name}_hidden)"
        selects.append(f"SELECT * FROM {name}{only}")
    if not selects:
        con.register(f"_{table}_none", schema(table).empty_table())
        selects = [f"SELECT * FROM _{table}_none"]
    con.execute(f"CREATE VIEW _{table} AS " + " UNION ALL BY NAME ".join(selects))


def _add_published(con: duckdb.DuckDBPyConnection) -> None:
    from analysis.published import columns
    from analysis.published import numbers as published

    con.execute("CREATE SCHEMA published")
    for name in columns.TABLES:
        con.register("_paper", pa.Table.from_pandas(published.table(name), preserve_index=False))
        con.execute(f'CREATE TABLE published."{name}" AS SELECT * FROM _paper')
        con.unregister("_paper")


def ask(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    values: Sequence[Any] = (),
    *,
    timeout_s: float = TIMEOUT_S,
) -> pa.Table:
    """Return the result of one SELECT as an Arrow table.

    Raises UserError for anything but one reading statement, for wrong SQL (with the tables and
    columns there are and the nearest name), after `timeout_s` seconds, and for results beyond the
    memory limit.
    """
    sql = _LIST_TABLES if _SHOWS_TABLES.fullmatch(sql) else sql
    _only_reads(con, sql)
    clock = threading.Timer(timeout_s, con.interrupt)
    clock.daemon = True
    clock.start()
    try:
        reader = con.sql(sql, params=list(values)).to_arrow_reader(100_000)
        return _drain(reader)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _translated(con, error, timeout_s) from None
    finally:
        clock.cancel()
        # a thread still holding the connection while Python ends brings the process down
        clock.join()


def retrying(index: Index, work: Callable[[Index], Answer]) -> Answer:
    """Return `work(index)`; where the index proves damaged, rebuild it and ask again."""
    try:
        return work(index)
    except IndexDamagedError:
        return work(update(index.store, rebuild=True))


def _translated(con: duckdb.DuckDBPyConnection, error: Exception, timeout_s: float) -> Exception:
    """Return the error to raise for one of the engine: a user's, or a damaged index."""
    text = str(error)
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in text:
        hint = "narrow it (WHERE, fewer joins) or give --timeout"
        return UserError(f"the query took longer than {timeout_s:g} s and was stopped; {hint}")
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return UserError(
            f"the query needs more than {MEMORY} of memory; narrow it or aggregate in SQL"
        )
    if isinstance(error, duckdb.PermissionException):
        return UserError(
            f"{text.splitlines()[0]}; a query reads the result tables and nothing else"
        )
    if not isinstance(error, duckdb.Error) or any(mark in text for mark in _DAMAGE):
        return IndexDamagedError(text)
    return UserError(explain(con, error))


def check_study(con: duckdb.DuckDBPyConnection, study: str) -> dict[str, int]:
    """Return how many runs and evaluations the plan of `study` asks for.

    Raises UserError where it has no plan.
    """
    counts = "SELECT count(DISTINCT run_id), count(DISTINCT eval_id) FROM members WHERE study = ?"
    found = con.execute(counts, [study]).fetchall()[0]
    if not found[0]:
        known = [
            row[0]
            for row in con.execute("SELECT DISTINCT study FROM members ORDER BY 1").fetchall()
        ]
        listed = (
            f"studies here are {', '.join(known)}" if known else "no study has results here yet"
        )
        raise UserError(
            f"no results of study {study!r}{nearest(study, known)}; {listed}; `ditlab run STUDY` "
            "makes them"
        )
    return {"planned_runs": found[0], "planned_evals": found[1]}


def _only_reads(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as error:
        raise UserError(explain(con, error)) from None
    if len(statements) != 1:
        raise UserError(f"{len(statements)} SQL statements given; a query is one SELECT")
    if statements[0].type not in _READS:
        raise UserError(
            f"{statements[0].type.name} given; results are only read: a query is one SELECT"
        )


def _drain(reader: pa.RecordBatchReader) -> pa.Table:
    batches = []
    size = 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > MAX_BYTES:
            raise UserError(
                f"the result is larger than {MAX_BYTES >> 30} GB; aggregate, or add a WHERE or a "
                "LIMIT"
            )
    return pa.Table.from_batches(batches, reader.schema)


def explain(con: duckdb.DuckDBPyConnection, error: duckdb.Error) -> str:
    """Return DuckDB's message in one line, with the nearest known name and where names are listed.

    The engine's own list of candidates is left out: it may name columns of other tables.
    """
    columns = dict.fromkeys(c for name in VIEWS for c in _columns(con, name))
    names = [*VIEWS, *published_names(con), *columns]
    first = str(error).strip().splitlines()[0].rstrip("!")
    asked = re.findall(r'(?:column|name|function|near) "?([\w.]+)"?', first)
    hints = (nearest(word, names) for word in asked if word not in names)
    hint = next((h for h in hints if h), "")
    where = f'tables are {", ".join(VIEWS)}; `ditlab query "DESCRIBE results"` lists columns'
    return f"{first}{hint}; {where}"


def _columns(con: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [str(row[0]) for row in con.execute(f"DESCRIBE {view}").fetchall()]


def published_names(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the paper's tables, where they were added."""
    return [f"published.{row[0]}" for row in con.execute(_PUBLISHED_NAMES).fetchall()]
