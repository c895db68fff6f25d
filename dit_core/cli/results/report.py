"""`ditlab report STUDY|published`: one self-contained HTML page, kept fresh with --live while the
study runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.results.figures import MixOption, StudyWord, progress
from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import StudyError, UserError

if TYPE_CHECKING:
    from dit_core.study.science.claim import Claim


def report(
    study: StudyWord,
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
    """Write the report of a study: answer, claims, figures, results, curves, samples, cost,
    failures, provenance.
    """
    from dit_core.cli.results.figures import study_figures
    from dit_core.records.paths import Store

    name, _ = study_figures(study)
    path = out or Store.at(results).study(name) / "report" / "index.html"
    claims, notes = _claims(study, results)
    while True:
        with progress("report") as said:
            said(name)
            done, size = write_report(
                name, path, results, claims, notes, round(every) if live else None, mix
            )
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
    """Write the page of a study to `path`; return whether all its runs are finished, and the page's
    size in bytes.
    """
    from analysis.report.collect import collect
    from analysis.report.render import render
    from analysis.select.source import open_source
    from dit_core.records.disk.files import write_atomic

    commands = (
        f"ditlab plan {name}",
        f"ditlab run {name}",
        f"ditlab figures {name}",
        f"ditlab claims {name}",
        f"ditlab report {name}",
    )
    page = collect(
        open_source(name, results), claims, commands if name != "published" else commands[2:], mix
    )
    page.notes += notes
    data = render(page, refresh_s).encode()
    write_atomic(path, data)
    return page.done, len(data)


def _claims(study: str, results: Path | None) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    """Return the study's claims, and why there are none where the file kept with the results cannot
    be read now.
    """
    from dit_core.cli.results.claims import study_claims

    try:
        return study_claims(study, results)[1], ()
    except StudyError as error:
        if study.endswith((".yaml", ".yml")):
            raise
        return (), (
            f"The claims could not be read: {error}",
        )  # written by an older version: the results still count
    except UserError as error:
        if "states no claims" in str(error):
            return (), ()
        raise
