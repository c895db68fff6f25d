"""`ditlab plan STUDY`: what would run, what it costs, what is done, what is wrong with the file."""

from __future__ import annotations

from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, MaxRunsOption, ResultsOption, print_json
from dit_core.cli.shared.plan_table import SHOWN, print_plan
from dit_core.cli.shared.planning import make_plan
from dit_core.cli.shared.study_argument import StudyArgument, study_file
from dit_core.records.paths import Store
from dit_core.study.grid.expand import MAX_RUNS
from dit_core.study.grid.plan import Planned, plan_document


def plan(
    study: StudyArgument,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a study without runs.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show every run, not the first {SHOWN}.")
    ] = False,
    stages: Annotated[
        int | None, typer.Option("--stages", help="Split each Transformer into N stages.")
    ] = None,
    unets: Annotated[
        bool, typer.Option("--unets", help="Name the U-Net that costs as much as each run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a study would run, what it costs and what is done already.

    Nothing is written or started.
    """
    store = Store.at(results)
    planned = make_plan(study_file(study, store), store, max_runs, allow_empty)
    if stages is not None:
        _stages(planned, stages, as_json)
    elif unets:
        _unets(planned, as_json)
    elif as_json:
        print_json(plan_document(planned))
    else:
        print_plan(planned, SHOWN if not show_all else None)


def _stages(planned: Planned, count: int, as_json: bool) -> None:
    from dit_core.cli.shared.stages_table import print_stages, stage_document

    if as_json:
        print_json(stage_document(planned.study.name, planned.runs, count))
    else:
        print_stages(planned.runs, count)


def _unets(planned: Planned, as_json: bool) -> None:
    from dit_core.cli.shared.unets_table import print_unets, unet_document

    if as_json:
        print_json(unet_document(planned.study.name, planned.runs))
    else:
        print_unets(planned.runs)
