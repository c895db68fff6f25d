"""`ditlab fit STUDY|published`: scaling laws with intervals, held-out errors and status flags."""

from __future__ import annotations

import math
import sys
from typing import Annotated, Any

import typer

from dit_core.cli.shared.conditions import WhereOption, conditions
from dit_core.cli.shared.options import JsonOption, MixOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import StudyOrPublished, name_or_published
from dit_core.records.paths import Store


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
    from analysis.laws.all_laws import answer, fit_all, table
    from analysis.select.source import open_source

    store = Store.at(results)
    name = name_or_published(study, store)
    with spinner("fitting") as show:
        show(name)
        laws = fit_all(open_source(name, store.root, metric, conditions(where)), mix)
    if as_json:
        print_json({"study": name, "answer": answer(laws), "fits": laws.plain()})
        return
    _print(f"{name}: {laws.footer}", table(laws).to_dict("records"), answer(laws))


def _print(title: str, rows: list[dict[str, Any]], sentences: list[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    shown = Table("fit", "quantity", "value", "interval", "n", "status", title=title)
    for row in rows:
        value = _number(row["value"], ".5g")
        low = _number(row["low"], ".4g")
        span = "-" if low == "-" else f"{low} to {_number(row['high'], '.4g')}"
        cells = (row["fit"], row["quantity"], value, span, str(row["n"]), escape(row["status"]))
        shown.add_row(*cells)
    console.print(shown)
    for sentence in sentences:
        console.print(sentence, markup=False)


def _number(value: float | None, form: str) -> str:
    """Return a number, or a dash where it is missing (None, or NaN in a data frame)."""
    return "-" if value is None or math.isnan(value) else format(value, form)
