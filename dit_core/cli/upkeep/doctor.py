"""`ditlab doctor`: check every record and manifest; name what is damaged, and the remedy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json

if TYPE_CHECKING:
    from dit_core.records.paths import Store
    from dit_core.records.rows import Problem


def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare sizes only; do not hash the weights.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the whole results folder. Nothing is changed. Exit code 1 where anything is wrong."""
    from dit_core.records.paths import Store
    from dit_core.records.upkeep.doctor import remedy

    store = Store.at(results)
    found = []
    for problem in check(store, quick=quick):
        place = problem.path.removeprefix(f"{store.root}{os.sep}")
        row = {"path": place, "line": problem.line, "kind": problem.kind, "detail": problem.detail}
        found.append({**row, "remedy": remedy(problem)})
    if as_json:
        print_json({"results": str(store.root), "problems": found})
    else:
        for row in found:
            line = f" line {row['line']}" if row["line"] else ""
            print(f"{row['path']}{line}: {row['kind']}: {row['detail']}\n    {row['remedy']}")
        counts = ", ".join(
            f"{n} {kind}" for kind, n in sorted(Counter(r["kind"] for r in found).items())
        )
        print(f"{len(found)} problems: {counts}" if found else "no problems")
    raise typer.Exit(1 if found else 0)


def check(store: Store, *, quick: bool = False) -> Iterator[Problem]:
    """Yield every problem of a store: places, plans, each run's records and weights, the index."""
    from analysis.tables.extract import read_run_folder
    from analysis.tables.scan import run_ids
    from dit_core.cli.shared.bar import bar
    from dit_core.records.upkeep import doctor as checks

    yield from checks.check_places(store)
    yield from checks.check_studies(store)
    ids = run_ids(store)
    with bar("checking runs") as show:
        for number, run in enumerate(ids, 1):
            yield from read_run_folder(store.run(run), store.root).problems
            yield from checks.check_run(store.run(run), quick=quick)
            show(number, len(ids))
    yield from check_index(store)


def check_index(store: Store) -> Iterator[Problem]:
    """Yield the parts of the index that differ from its manifest; the next query mends them."""
    from analysis.tables.index import load
    from analysis.tables.parquet_parts import IndexDamagedError, check_part
    from dit_core.records.rows import Problem

    for part in load(store).parts():
        try:
            check_part(store.index, part)
        except IndexDamagedError as error:
            yield Problem(
                str(store.index / part["file"]), "altered", str(error).rpartition(": ")[2]
            )
