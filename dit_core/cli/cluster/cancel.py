"""`ditlab cancel STUDY RUN…`: the only command that cancels anything, and only what is named."""

from __future__ import annotations

from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.paths import Store


def cancel(
    study: StudyArgument,
    words: RunsArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run of the study.")] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel the queued and running tasks of runs.

    They are not submitted again until `ditlab retry`.
    """
    from slurm.standing.gather import look
    from slurm.submission.actions import cancel_runs

    if not words and not everything:
        raise UserError("name runs, or choose with a filter such as model.size=XL, or give --all")
    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    view = look(store, name, runs)
    if view.book.queue.trouble is not None:
        raise EnvironmentProblem(
            f"{view.book.queue.trouble}; queue unavailable; nothing was cancelled"
        )
    done = cancel_runs(store, runs, view)
    if as_json:
        print_json(done)
        return
    tasks = ", ".join(done["tasks"]) or "none"
    print(f"{len(done['runs'])} runs cancelled; tasks removed from Slurm: {tasks}")
    for line in done["kept"]:
        print(line)
