"""`ditlab plan STUDY`: what would run, what it costs, what is done, what is wrong with the file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dit_core.cli.shared.options import (
    AllOption,
    AllowEmptyOption,
    JsonOption,
    MaxRunsOption,
    ResultsOption,
    print_json,
)
from dit_core.cli.shared.plan_table import SHOWN, print_plan
from dit_core.cli.shared.planning import make_plan, timed
from dit_core.cli.shared.study_argument import StudyArgument, study_file
from dit_core.records.paths import Store
from dit_core.study.grid.expand import MAX_RUNS
from dit_core.study.grid.plan import Planned, plan_document

# Without --minutes, and with it.
_UNKNOWN = ("not measured on this machine; --minutes does it", "could not be measured here")

StagesOption = Annotated[
    int | None, typer.Option("--stages", help="Split each Transformer into N stages.")
]
UnetsOption = Annotated[
    bool, typer.Option("--unets", help="Name the U-Net that costs as much as each run.")
]
MinutesOption = Annotated[
    bool,
    typer.Option(
        "--minutes", help="Measure the time in seconds of real steps; a terminal does so anyway."
    ),
]


def plan(
    study: StudyArgument,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    allow_empty: AllowEmptyOption = False,
    show_all: AllOption = False,
    stages: StagesOption = None,
    unets: UnetsOption = False,
    minutes: MinutesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a study would run, what it costs and what is done already. Nothing is started."""
    store = Store.at(results)
    planned = make_plan(study_file(study, store), store, max_runs, allow_empty)
    if stages is not None:
        _stages(planned, stages, as_json)
    elif unets:
        _unets(planned, as_json)
    else:
        _costs(planned, store, show_all, minutes, as_json)


def _costs(planned: Planned, store: Store, show_all: bool, minutes: bool, as_json: bool) -> None:
    if minutes or (sys.stdout.isatty() and not as_json):
        planned = timed(planned, store)
    if as_json:
        print_json(plan_document(planned))
    else:
        print_plan(planned, None if show_all else SHOWN)
        if planned.calibration is None and planned.left:
            print(f"time: {_UNKNOWN[minutes]}")


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
