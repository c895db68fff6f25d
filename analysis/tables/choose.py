"""A question without SQL: table, conditions, columns, order, pivot; answered by one SELECT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from analysis.tables.columns import tables
from analysis.tables.order import rank
from analysis.tables.query import published_names
from dit_core.errors import UserError, nearest

TABLES = ("runs", "evals", "results", "metrics", "attempts", "members", "problems")
AGGREGATES = ("mean", "median", "min", "max", "count")
FEW = 30  # columns that an error may list
_FRONT = {
    "runs": (
        "run_id",
        "study",
        "name",
        "model_size",
        "patch",
        "conditioning",
        "objective",
        "seed",
        "params",
        "fwd_gmacs",
        "train_flops",
        "outcome",
    ),
    "evals": (
        "run_id",
        "eval_id",
        "images_seen",
        "sampler",
        "steps",
        "guidance",
        "protocol",
        "samples",
    ),
}
_CONDITION = re.compile(r"\s*([\w.]+)\s*(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)
_OPERATORS = {"=": "IN", "!=": "NOT IN"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A question to one table.

    `where` is like "model.size=XL", `sort` like "-fd_digits", `pivot` is (rows, columns).
    """

    table: str
    where: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    pivot: tuple[str, str] | None = None
    aggregate: str | None = None
    limit: int | None = None


def to_sql(con: duckdb.DuckDBPyConnection, choice: Choice) -> tuple[str, list[Any]]:
    """Return (SELECT, values) for a choice.

    A question about evaluations that names a column of runs goes to `results`, which holds both.
    Raises UserError naming the nearest table or column for an unknown one.
    """
    table = _table(con, choice.table)
    there = types_of(con, table)
    named = [
        *(_split(w)[0] for w in choice.where),
        *choice.columns,
        *(s.lstrip("-+") for s in choice.sort),
    ]
    named += choice.pivot or ()
    if table == "evals" and any(plain(n) not in there for n in named):
        table = "results"
        there = types_of(con, "results")
    conditions = []
    values = []
    for text in choice.where:
        sql, found = _exact(con, text, there, table) or _condition(text, there, table)
        conditions.append(sql)
        values += found
    chosen = [column(name, there, table) for name in choice.columns] or _default(
        choice.table, there
    )
    if choice.pivot:
        chosen = _pivot_columns(choice, there, table)
    order = (
        [_order(s, there, table) for s in choice.sort]
        or [quote(c) for c in _keys(there)]
        or ["ALL"]
    )
    sql = f"SELECT {', '.join(map(quote, chosen))} FROM {table}"
    sql += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql += f" ORDER BY {', '.join(order)}"
    sql += f" LIMIT {int(choice.limit)}" if choice.limit is not None else ""
    return sql, values


def _table(con: duckdb.DuckDBPyConnection, word: str) -> str:
    """Return the table that `word` names; "published" alone is the paper's scaling table."""
    known = (*TABLES, *published_names(con))
    if word == "published" and len(known) > len(TABLES):
        return "published.dit_scaling"
    if word not in known:
        raise UserError(f"no table {word!r}{nearest(word, known)}; tables are {', '.join(known)}")
    return word


def types_of(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return {column: DuckDB type} of a table."""
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}


def plain(name: str) -> str:
    """Return the column of a dotted path: model.patch is model_patch."""
    return name.strip().replace(".", "_")


def column(name: str, there: dict[str, str], table: str) -> str:
    """Return the column that `name` means: "model.patch" is model_patch.

    Raises UserError with the nearest one, and with all where they fit on a line.
    """
    found = plain(name)
    if found not in there:
        listed = f"columns are {', '.join(there)}"
        if len(there) > FEW:
            listed = f'`ditlab query "DESCRIBE {table}"` lists all {len(there)}'
        raise UserError(f"table {table} has no column {name!r}{nearest(found, there)}; {listed}")
    return found


def quote(name: str) -> str:
    """Return a column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def pivot(table: pa.Table, rows: str, columns: str, aggregate: str | None) -> pa.Table:
    """Return a value per (rows, columns) cell: the one there is, or `aggregate` of several.

    Several values in a cell without an aggregate are refused: an average nobody asked for hides
    what differs.
    """
    import pandas as pd

    from analysis.tables.load import to_pandas

    frame = to_pandas(table)
    value = next((c for c in frame.columns if c not in (rows, columns)), None)
    assert value is not None
    grouped = frame.dropna(subset=[value]).groupby([rows, columns], sort=True)[value]
    counts = grouped.count()
    if aggregate is None and len(counts) and counts.max() > 1:
        where = ", ".join(f"{n} {v}" for n, v in zip((rows, columns), counts.idxmax(), strict=True))
        raise UserError(
            f"{counts.max()} values of {value} at {where}: add --where until one is left, "
            f"or say --aggregate {'|'.join(AGGREGATES)}"
        )
    cells = grouped.agg(aggregate or "first").unstack(columns)
    cells = cells.loc[sorted(cells.index, key=rank), sorted(cells.columns, key=rank)]
    cells.columns = [f"{columns}={c}" for c in cells.columns]
    return pa.Table.from_pandas(pd.DataFrame(cells).reset_index(), preserve_index=False)


def _split(text: str) -> tuple[str, str, str]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(
            f"--where {text!r}: write COLUMN=VALUE (or != < <= > >=, ~ for a pattern), as "
            "model.size=XL"
        )
    return match[1], match[2], match[3].strip()


def _exact(
    con: duckdb.DuckDBPyConnection, text: str, there: dict[str, str], table: str
) -> tuple[str, list[Any]] | None:
    """Return the condition on the whole word where a row has it: names contain commas."""
    name, operator, word = _split(text)
    found = column(name, there, table)
    if "," not in word or operator not in _OPERATORS or there[found] != "VARCHAR":
        return None
    one = f"SELECT 1 FROM {table} WHERE {quote(found)} = ? LIMIT 1"
    return (f"{quote(found)} {operator} ?", [word]) if con.execute(one, [word]).fetchall() else None


def values_there(con: duckdb.DuckDBPyConnection, choice: Choice) -> list[str]:
    """Return, for conditions `=` that no row fulfils, what the table holds in their columns."""
    table = _table(con, choice.table)
    if table == "evals":
        table = "results"
    there = types_of(con, table)
    said = []
    for text in choice.where:
        name, operator, word = _split(text)
        sql, values = _exact(con, text, there, table) or _condition(text, there, table)
        found = quote(column(name, there, table))
        select = f"SELECT DISTINCT {found} FROM {table} WHERE"
        if operator != "=" or con.execute(f"{select} {sql} LIMIT 1", values).fetchall():
            continue
        rows = con.execute(f"{select} {found} IS NOT NULL ORDER BY 1 LIMIT {FEW + 1}").fetchall()
        have = [str(row[0]) for row in rows]
        listed = ", ".join(have[:FEW]) + (", …" if len(have) > FEW else "")
        said.append(f"no row with {name} = {word}{nearest(word, have)}; there: {listed or 'none'}")
    return said


def _condition(text: str, there: dict[str, str], table: str) -> tuple[str, list[Any]]:
    name, operator, word = _split(text)
    found = column(name, there, table)
    if operator == "~":
        return f"CAST({quote(found)} AS VARCHAR) GLOB ?", [word]
    if word.lower() in ("null", "none", "missing"):
        if operator not in _OPERATORS:
            raise UserError(f"--where {text!r}: a missing value has no order; write = or !=")
        return f"{quote(found)} IS {'NOT ' if operator == '!=' else ''}NULL", []
    words = [w.strip() for w in word.split(",")] if operator in _OPERATORS else [word]
    values = [_value(w, there[found], text) for w in words]
    if operator in _OPERATORS:
        return f"{quote(found)} {_OPERATORS[operator]} ({', '.join('?' * len(values))})", values
    return f"{quote(found)} {operator} ?", values


def _value(word: str, kind: str, text: str) -> Any:
    try:
        if kind in ("BIGINT", "INTEGER", "HUGEINT"):
            return int(word) if word.lstrip("-").isdigit() else float(word)
        if kind == "DOUBLE":
            return float(word)
        if kind == "BOOLEAN":
            return {"true": True, "yes": True, "false": False, "no": False}[word.lower()]
    except (ValueError, KeyError):
        wanted = "true or false" if kind == "BOOLEAN" else "a number"
        raise UserError(
            f"--where {text!r}: {word!r} is not {wanted}, which that column holds"
        ) from None
    return word


def _order(text: str, there: dict[str, str], table: str) -> str:
    down = text.startswith("-")
    return (
        f"{quote(column(text.lstrip('-+'), there, table))} {'DESC' if down else 'ASC'} NULLS LAST"
    )


def _pivot_columns(choice: Choice, there: dict[str, str], table: str) -> list[str]:
    assert choice.pivot is not None
    rows, columns = (column(name, there, table) for name in choice.pivot)
    values = [column(name, there, table) for name in choice.columns]
    values = [v for v in values if v not in (rows, columns)]
    if len(values) != 1 or rows == columns:
        raise UserError(
            "--pivot ROWS,COLUMNS shows one value: name it with --columns, as --columns fd_digits"
        )
    if choice.aggregate is not None and choice.aggregate not in AGGREGATES:
        hint = nearest(choice.aggregate, AGGREGATES)
        raise UserError(
            f"--aggregate {choice.aggregate!r}{hint}; allowed are {', '.join(AGGREGATES)}"
        )
    return [rows, columns, values[0]]


def _default(table: str, there: dict[str, str]) -> list[str]:
    """Return the columns shown by default: the short ones of the design, and all metrics."""
    front = _FRONT.get(table)
    if front is None:
        return list(there)
    known = {c.name for c in tables()[table]}
    return [*(c for c in front if c in there), *(c for c in there if c not in known)]


def _keys(there: dict[str, str]) -> list[str]:
    return [
        k
        for k in ("study", "run_id", "attempt", "images_seen", "images", "eval_id", "line")
        if k in there
    ]
