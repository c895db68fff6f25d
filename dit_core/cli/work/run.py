"""`ditlab run STUDY`: run a study on this machine; run it again to resume."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dit_core.cli.shared.data_check import check_data
from dit_core.cli.shared.options import (
    JsonOption,
    MaxRunsOption,
    ResultsOption,
    TrainAnywayOption,
    print_json,
)
from dit_core.cli.shared.planning import make_plan, require_evaluations
from dit_core.cli.shared.reasons import grouped
from dit_core.cli.shared.study_argument import StudyArgument, study_file
from dit_core.cli.work.display import Display
from dit_core.device import device_for
from dit_core.executor.local import run_locally
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.study.grid.expand import MAX_RUNS
from dit_core.study.grid.plan import Planned, plan_document, summary_lines
from dit_core.study.science.run import Run

WorkersOption = Annotated[
    int | None, typer.Option("--workers", help="Runs at a time; default: what fits.")
]
Say = Callable[[str], None]


def run(
    study: StudyArgument,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    workers: WorkersOption = None,
    train_anyway: TrainAnywayOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate every point of a study on this machine, then write its report.

    Ctrl-C saves and leaves; run it again to resume. A failed run does not stop the others; the exit
    code is then 1.
    """
    store = Store.at(results)
    file = study_file(study, store)
    planned = make_plan(file, store, max_runs)
    todo = _todo(planned, workers)
    say: Say = (lambda line: None) if as_json else print
    if todo:
        device_for(planned.study.execution.device, f"{file}: execution.device")
        check_data(todo, say)
        require_evaluations(planned, train_anyway)
    for line in summary_lines(planned):
        say(line)
    ended = _carry_out(planned, store, todo, say)
    after = make_plan(file, store, max_runs)
    written = _report(store, planned.study.name, after.runs, say)
    failed = {key: reason for key, (how, reason) in ended.items() if how == "failed"}
    if as_json:
        facts = {"failed": failed, "written": [str(path) for path in written]}
        print_json(plan_document(after) | facts)
    _finish(after, failed, say)


def _todo(planned: Planned, workers: int | None) -> list[Run]:
    left = {r.run_id for r in planned.left}
    runs = planned.runs if workers is None else _with_workers(planned.runs, workers)
    return [r for r in runs if r.run_id in left]


def _carry_out(
    planned: Planned, store: Store, todo: list[Run], say: Say
) -> dict[str, tuple[str, str | None]]:
    """Keep the plan and run what is left; return how each run ended."""
    study = planned.study
    write_plan(store, study.name, study.text, planned.runs, planned.calibration)
    if not todo:
        say(f"study {study.name} is finished: nothing to do")
        return {}
    # A batch system sends TERM and a closing terminal HUP; both save and leave, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with Display(todo, say) as display:
        return run_locally(store, study.name, todo, display.hear)


def _finish(after: Planned, failed: dict[str, str | None], say: Say) -> None:
    names = {r.run_id: r.name for r in after.runs}
    diverged = [
        r.name for r, s in zip(after.runs, after.states, strict=True) if s.word == "diverged"
    ]
    if diverged:
        say(f"diverged (a result): {', '.join(diverged)}")
    named = {f"{names[key]} ({key})": reason for key, reason in failed.items()}
    for line in grouped(named, "run"):
        print(f"failed: {line}", file=sys.stderr)
    if failed:
        raise SystemExit(1)


def _with_workers(runs: tuple[Run, ...], workers: int) -> tuple[Run, ...]:
    from dataclasses import replace

    from dit_core.errors import UserError

    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    return tuple(
        replace(r, execution=r.execution.model_copy(update={"workers": workers})) for r in runs
    )


def _report(store: Store, study: str, runs: tuple[Run, ...], say: Say) -> tuple[Path, ...]:
    """Write the study's table and figure where its records changed; return the files."""
    from analysis.report import closing

    state = closing.state_of(store, study, runs)
    words = closing.recall(store, study, state)
    if words is None:
        from analysis.report.summary import write_summary

        lines: list[str] = []
        written = write_summary(store, study, lines.append)
        words = closing.LastWords(tuple(lines), tuple(written))
        if written:
            closing.keep(store, study, state, words)
    for line in words.lines:
        say(line)
    return words.written
