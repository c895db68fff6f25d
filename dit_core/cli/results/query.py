"""`ditlab query`: the result tables by SQL, or by table, conditions, columns, order and pivot."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption
from dit_core.errors import UserError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.tables.choose import Choice
    from analysis.tables.index import Index
    from dit_core.records.paths import Store

_SUFFIXES = {
    ".csv": "csv",
    ".md": "md",
    ".tex": "latex",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "table",
}
_List = list[str] | None


def query(
    sql: Annotated[
        str | None, typer.Argument(help="One SELECT over runs, evals, results, metrics, …")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Query without SQL: the table.")] = None,
    where: Annotated[
        _List, typer.Option(help="COLUMN=VALUE[,VALUE] (also != < <= > >= ~); repeat for and.")
    ] = None,
    columns: Annotated[
        _List, typer.Option(help="Columns, separated by commas; model.patch is model_patch.")
    ] = None,
    sort: Annotated[
        _List, typer.Option(help="Columns to sort by, separated by commas; -fd_digits descends.")
    ] = None,
    pivot: Annotated[
        str | None, typer.Option(help="ROWS,COLUMNS of a two-way table of one column.")
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="mean, median, min, max or count of a pivot's cells.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most this many rows.")] = None,
    study: Annotated[
        str | None, typer.Option(help="Only the runs of this study (name or YAML file).")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="table, csv, md, latex, json or parquet.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file; its ending chooses the format.")
    ] = None,
    watch: Annotated[
        float | None, typer.Option(min=0.1, help="Repeat every so many seconds.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds a query may take.")] = 60.0,
    update: Annotated[bool, typer.Option(help="Look for new records first.")] = True,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the index anew from every record.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Query the result tables.

    With SQL: `ditlab query "SELECT …"`. Without: `ditlab query --table evals --where …`.
    """
    from analysis.tables.choose import Choice
    from analysis.tables.query import retrying
    from dit_core.cli.shared.study_argument import study_name
    from dit_core.records.paths import Store

    kind = _format(form, out, as_json)
    if out is not None and out.is_dir():
        raise UserError(
            f"--out {out}: is a folder; give the file to write, such as {out / 'table.csv'}"
        )
    words = tuple(where or ()), _split(columns), _split(sort), _pair(pivot)
    plain = Choice(table or "runs", *words, aggregate, limit)
    if sql is not None and (table is not None or plain != Choice(table="runs")):
        raise UserError(
            "give SQL or --table with its options, not both; SQL has its conditions in the SELECT"
        )
    store = Store.at(results)
    name = study_name(study, store) if study else None

    def once() -> None:
        index = bring_up(store, update=update, rebuild=rebuild)
        found = retrying(index, lambda state: answer(state, sql, plain, name, timeout))
        emit(found, kind, out)
        remarks(index, found)

    repeat(once, watch)


def bring_up(store: Store, *, update: bool = True, rebuild: bool = False) -> Index:
    """Return the index, first updated from the records unless `update` is false."""
    from analysis.tables import index
    from dit_core.cli.shared.bar import bar

    if not update and not rebuild:
        return index.load(store)
    with bar("reading records") as show:
        return index.update(store, rebuild=rebuild, progress=show)


def answer(
    index: Index, sql: str | None, plain: Choice, study: str | None, timeout_s: float
) -> pa.Table:
    """Return the answer of the index to SQL or a choice."""
    from analysis.tables import choose
    from analysis.tables import query as engine

    with closing(
        engine.connect(index, study=study, published="published" in (sql or plain.table).lower())
    ) as con:
        if study:
            engine.check_study(con, study)
        values: list[object] = []
        if sql is None:
            sql, values = choose.to_sql(con, plain)
        found = engine.ask(con, sql, values, timeout_s=timeout_s)
        if not found.num_rows and plain.where:
            for line in choose.values_there(con, plain):
                print(line, file=sys.stderr)
    if plain.pivot:
        rows, columns = (choose.plain(n) for n in plain.pivot)
        found = choose.pivot(found, rows, columns, plain.aggregate)
    return found


def emit(found: pa.Table, kind: str, out: Path | None) -> None:
    """Write a table in one of the formats to a file, or to standard output."""
    from analysis.write import formats, terminal
    from dit_core.records.disk.files import write_atomic

    if kind == "parquet":
        if out is None and sys.stdout.isatty():
            raise UserError("Parquet is binary; give --out FILE.parquet")
        data = formats.to_parquet(found)
    elif kind == "table":
        data = terminal.fitted(found, None if out else terminal.terminal_width()).encode()
    else:
        writers = {"csv": formats.to_csv, "md": formats.to_markdown, "latex": formats.to_latex}
        text = formats.to_json(found) + "\n" if kind == "json" else writers[kind](found)
        data = text.encode()
    if out is not None:
        write_atomic(out.absolute(), data)
        print(f"{found.num_rows} rows in {out}", file=sys.stderr)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def remarks(index: Index, found: pa.Table) -> None:
    """Warn on standard error about an empty store and damaged records."""
    runs = sum(p["rows"] for layer in index.layers for p in layer if p["table"] == "state")
    if not runs:
        print(f"no results in {index.store.root} yet: `ditlab run STUDY` fills it", file=sys.stderr)
    damaged = sum(p["rows"] for layer in index.layers for p in layer if p["table"] == "problems")
    if damaged:
        print(
            "note: damaged records are left out; `ditlab doctor` names them",
            file=sys.stderr,
        )


def repeat(once: Callable[[], None], seconds: float | None, times: int | None = None) -> None:
    """Call `once`, then again every `seconds` until interrupted (or `times` times in all)."""
    count = 0
    while True:
        if seconds is not None and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        once()
        count += 1
        if seconds is None or (times is not None and count >= times):
            return
        time.sleep(seconds)


def _format(form: str | None, out: Path | None, as_json: bool) -> str:
    from analysis.write.formats import FORMATS

    if form is not None and form not in FORMATS:
        raise UserError(
            f"--format {form!r}{nearest(form, FORMATS)}; formats are {', '.join(FORMATS)}"
        )
    if as_json:
        if form not in (None, "json"):
            raise UserError(f"--json and --format {form} contradict each other")
        return "json"
    if form is None and out is not None:
        if out.suffix not in _SUFFIXES:
            raise UserError(
                f"--out {out}: its ending names no format ({', '.join(_SUFFIXES)}); give --format"
            )
        return _SUFFIXES[out.suffix]
    return form or "table"


def _split(words: _List) -> tuple[str, ...]:
    return tuple(w.strip() for word in words or () for w in word.split(",") if w.strip())


def _pair(word: str | None) -> tuple[str, str] | None:
    if word is None:
        return None
    parts = word.split(",")
    if len(parts) != 2:
        raise UserError(f"--pivot {word!r}: write ROWS,COLUMNS, as model.size,model.patch")
    return parts[0].strip(), parts[1].strip()
