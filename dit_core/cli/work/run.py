"""`ditlab run STUDY`: run a study on this machine; run it again to resume."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, MaxRunsOption, ResultsOption, print_json
from dit_core.cli.shared.planning import make_plan
from dit_core.cli.shared.study_argument import StudyArgument, study_file
from dit_core.data.places import place_of
from dit_core.device import device_for
from dit_core.executor.local import run_locally, work
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.study.grid.expand import MAX_RUNS
from dit_core.study.grid.plan import Planned, plan_document, summary_lines
from dit_core.study.price import cost
from dit_core.study.price.prefixes import si
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.run import Run


def run(
    study: StudyArgument,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Runs at a time; default: what fits.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate every point of a study on this machine, then write its report.

    Ctrl-C saves and leaves; run it again to resume. A failed run does not stop the others; the exit
    code is then 1.
    """
    store = Store.at(results)
    file = study_file(study, store)
    planned = make_plan(file, store, max_runs)
    runs = planned.runs if workers is None else _with_workers(planned.runs, workers)
    left = {r.run_id for r in planned.left}
    todo = [r for r in runs if r.run_id in left]
    say = (lambda line: None) if as_json else print
    if todo:
        device_for(planned.study.execution.device, f"{file}: execution.device")
        _check_data(todo, say)
    for line in summary_lines(planned):
        say(line)
    write_plan(store, planned.study.name, planned.study.text, planned.runs, planned.calibration)
    ended: dict[str, tuple[str, str | None]] = {}
    if todo:
        # A batch system sends TERM and a closing terminal HUP; both save and leave, as Ctrl-C does.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        with _Display(todo, say) as display:
            ended = run_locally(store, planned.study.name, todo, display.hear)
    else:
        say(f"study {planned.study.name} is finished: nothing to do")
    after = make_plan(file, store, max_runs)
    written = _report(store, planned.study.name, after.runs, say)
    failed = {key: reason for key, (how, reason) in ended.items() if how == "failed"}
    if as_json:
        print_json(
            plan_document(after) | {"failed": failed, "written": [str(path) for path in written]}
        )
    _finish(after, failed, say)


def _finish(after: Planned, failed: dict[str, str | None], say: Any) -> None:
    names = {r.run_id: r.name for r in after.runs}
    diverged = [
        r.name for r, s in zip(after.runs, after.states, strict=True) if s.word == "diverged"
    ]
    if diverged:
        say(f"diverged (a result): {', '.join(diverged)}")
    for key, reason in failed.items():
        print(f"failed: {names[key]} ({key}): {reason}", file=sys.stderr)
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


def _check_data(runs: list[Run], say: Any) -> None:
    """Read each data set of the user's own once, so that its faults show before anything starts."""
    own = dict.fromkeys(
        (r.science.data, place_of(r.science.data.name, r.execution.data_roots)) for r in runs
    )
    for data, root in own:
        if data.name not in BUILT_IN:
            from dit_core.data.load import load_data

            say(f"reading data {data.name!r} once before anything starts")
            load_data(data, root)


def _report(store: Store, study: str, runs: tuple[Run, ...], say: Any) -> tuple[Path, ...]:
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


class _Display:
    """Live progress on a terminal; elsewhere a line per finished run."""

    def __init__(self, runs: list[Run], say: Any) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._runs = {r.run_id: r for r in runs}
        self._work = {r.run_id: work(r) for r in runs}
        self._done = dict.fromkeys(self._runs, 0.0)
        self._at_first: dict[str, float] = {}
        self._rates: dict[str, float] = {}
        self._finished = 0
        self._started = time.monotonic()
        self._say = say
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=sum(self._work.values()), note="starting")

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event of a worker and show where things stand."""
        key = event.get("run", "")
        if event["event"] == "progress":
            run = self._runs[key]
            trained = cost.train_flops_of(cost.fwd_macs(run.science), event["images"])
            self._at_first.setdefault(key, trained)
            self._done[key] = trained
            self._rates[key] = event["rate"]
        elif event["event"] == "end":
            self._rates.pop(key, None)
            self._finished += event["how"] != "owned"
            self._done[key] = self._work[key]
            if event["how"] != "owned":
                note = f": {event['reason']}" if event["reason"] else ""
                self._line(
                    f"{self._finished}/{len(self._runs)} {event['how']:<8} "
                    f"{self._runs[key].name}{note}"
                )
        self._show()

    def _line(self, text: str) -> None:
        if self._progress.disable:
            self._say(text)
        else:
            self._progress.console.print(text, markup=False)

    def _show(self) -> None:
        done = sum(self._done.values())
        total = sum(self._work.values())
        fresh = done - sum(self._at_first.values())
        elapsed = time.monotonic() - self._started
        left = (
            f"{_clock((total - done) * elapsed / fresh)} left" if fresh > 0 and elapsed > 2 else "…"
        )
        note = f"{si(sum(self._rates.values()))} images/s, {left}"
        self._progress.update(
            self._task,
            completed=done,
            note=note,
            description=f"{self._finished}/{len(self._runs)} runs",
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
