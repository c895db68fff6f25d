"""`ditlab fit STUDY|published`: the scaling laws of a study, with intervals, held-out errors and
status flags.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dit_core.cli.results.figures import (
    MixOption,
    StudyWord,
    WhereOption,
    conditions,
    progress,
    study_figures,
)
from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json


def fit(
    study: StudyWord,
    metric: Annotated[
        str | None, typer.Option(help="Metric; else the main one of the protocol.")
    ] = None,
    where: WhereOption = None,
    mix: MixOption = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit every law the results allow; what they do not allow says why."""
    from analysis.laws.all_laws import answer, fit_all, table
    from analysis.select.source import open_source

    name, _ = study_figures(study)
    with progress("fitting") as said:
        said(name)
        laws = fit_all(open_source(name, results, metric, conditions(where)), mix)
    if as_json:
        print_json({"study": name, "answer": answer(laws), "fits": laws.plain()})
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    shown = Table(
        "fit", "quantity", "value", "interval", "n", "status", title=f"{name}: {laws.footer}"
    )
    for row in table(laws).to_dict("records"):
        span = (
            "-"
            if row["low"] != row["low"] or row["low"] is None
            else f"{row['low']:.4g} to {row['high']:.4g}"
        )
        value = (
            "-" if row["value"] != row["value"] or row["value"] is None else f"{row['value']:.5g}"
        )
        shown.add_row(
            row["fit"],
            row["quantity"],
            value,
            span,
            str(row["n"]),
            row["status"].replace("[", "\\["),
        )
    console.print(shown)
    for sentence in answer(laws):
        console.print(sentence, markup=False)
