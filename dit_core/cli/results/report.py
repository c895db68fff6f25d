"""`ditlab report STUDY|published`: one self-contained HTML page, kept fresh with --live."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.results.claims import stated_claims
from dit_core.cli.shared.options import JsonOption, MixOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import (
    PUBLISHED,
    StudyOrPublished,
    is_file,
    name_or_published,
)
from dit_core.errors import StudyError
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from dit_core.study.science.claim_kinds import Claim


def report(
    study: StudyOrPublished,
    out: Annotated[
        Path | None, typer.Option(help="HTML file; else results/studies/STUDY/report/index.html.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Write it again until all runs are finished.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1.0, help="Seconds between two writings with --live.")
    ] = 20.0,
    mix: MixOption = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a study as one HTML page.

    It holds the answer, claims, figures, results, curves, samples, cost, failures and provenance.
    """
    store = Store.at(results)
    name = name_or_published(study, store)
    path = out or store.study(name) / "report" / "index.html"
    claims, notes = _claims(study, store)
    refresh_s = round(every) if live else None
    while True:
        with spinner("report") as show:
            show(name)
            done, size = write_report(name, path, store.root, claims, notes, refresh_s, mix)
        if not live or done:
            break
        print(f"{time.strftime('%H:%M:%S')} {path}", file=sys.stderr)
        time.sleep(every)
    if as_json:
        print_json({"study": name, "path": str(path), "bytes": size, "finished": done})
    else:
        print(path)


def write_report(
    name: str,
    path: Path,
    results: Path | None,
    claims: tuple[Claim, ...],
    notes: tuple[str, ...] = (),
    refresh_s: int | None = None,
    mix: bool = False,
) -> tuple[bool, int]:
    """Write the page of a study to `path`; return (whether all runs are finished, bytes)."""
    from analysis.report.collect import collect
    from analysis.report.render import render
    from analysis.select.source import open_source
    from dit_core.records.disk.files import write_atomic

    made = () if name == PUBLISHED else ("plan", "run")
    commands = tuple(f"ditlab {step} {name}" for step in (*made, "figures", "claims", "report"))
    page = collect(open_source(name, results), claims, commands, mix)
    page.notes += notes
    data = render(page, refresh_s).encode()
    write_atomic(path, data)
    return page.done, len(data)


def _claims(study: str, store: Store) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    """Return the study's claims, and a note where its file cannot be read.

    A study named from the results may have a file of an older version; its results still count.
    """
    try:
        return stated_claims(study, store).claims, ()
    except StudyError as error:
        if is_file(study):
            raise
        return (), (f"The claims could not be read: {error}",)
