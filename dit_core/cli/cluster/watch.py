"""`ditlab watch STUDY`: the status, live."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.records.paths import Store


def watch(
    study: StudyArgument,
    words: RunsArgument = None,
    every: Annotated[
        float,
        typer.Option("--every", min=1.0, help="Seconds between looks; each is one squeue call."),
    ] = 30.0,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refresh the status until nothing runs or waits; --json prints the last one only."""
    from rich.console import Console
    from rich.live import Live

    from dit_core.cli.cluster.status import rendered
    from slurm.standing.gather import look
    from slurm.submission.overview import overview

    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    console = Console(highlight=False, stderr=as_json)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            seen = overview(store, name, runs, look(store, name, runs))
            live.update(rendered(seen, max(console.height - 8, 5)), refresh=True)
            counts = {**seen["counts"]}
            busy = sum(counts.get(word, 0) for word in ("running", "waiting", "unknown"))
            busy += sum(
                seen["evaluations"].get(word, 0) for word in ("running", "waiting", "unknown")
            )
            if not busy:
                break
            time.sleep(every)
    if as_json:
        print_json(seen)
