"""`ditlab fit STUDY|published`: scaling laws with intervals, held-out errors and status flags."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.conditions import WhereOption, conditions
from dit_core.cli.shared.options import JsonOption, MixOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import StudyOrPublished, name_or_published
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from analysis.laws.table import Row

WIDTH = 80  # where the output is no terminal


def fit(
    study: StudyOrPublished,
    metric: Annotated[
        str | None, typer.Option(help="Metric; default: the main one of the protocol.")
    ] = None,
    where: WhereOption = None,
    mix: MixOption = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit every law the results allow, and say why where they do not."""
    from analysis.laws.all_laws import fit_all
    from analysis.laws.table import rows
    from analysis.laws.words import answer
    from analysis.select.source import open_source

    store = Store.at(results)
    name = name_or_published(study, store)
    with spinner("fitting") as show:
        show(name)
        laws = fit_all(open_source(name, store.root, metric, conditions(where)), mix)
    if as_json:
        print_json({"study": name, "answer": answer(laws), "fits": laws.plain()})
        return
    _print(f"{name}: {laws.footer}", list(rows(laws)), answer(laws))


def _print(title: str, rows: list[Row], sentences: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading, right in (("fit", 0), ("quantity", 0), ("value", 1), ("95 % interval", 0)):
        shown.add_column(heading, justify="right" if right else "left")
    shown.add_column("n", justify="right")
    before = ""
    for row in rows:
        span = "-" if row.low is None else f"{_number(row.low)} to {_number(row.high)}"
        fit = "" if row.fit == before else row.fit
        shown.add_row(escape(fit), row.quantity, _number(row.value), span, str(row.n))
        before = row.fit
    console.print(title, markup=False)
    console.print()
    console.print(shown)
    console.print()
    for sentence in sentences:
        console.print(sentence, markup=False)


def _number(value: float | None) -> str:
    """Return a number, or a dash where it is missing."""
    return "-" if value is None else f"{value:.4g}"
