"""`ditlab plan STUDY`: what would run, what it costs, what is done already, what is wrong with the
file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dit_core.cli.shared.options import (
    JsonOption,
    MaxRunsOption,
    ResultsOption,
    StudyArgument,
    print_json,
)
from dit_core.evaluate.protocol.check import check_study, unmeasured
from dit_core.evaluate.protocol.needs import missing_files
from dit_core.records.calibration import read_calibration
from dit_core.records.paths import Store
from dit_core.records.plan import planned_names
from dit_core.records.run_state import RunState, states_of
from dit_core.study.grid.diff import StudyDiff, compare
from dit_core.study.grid.expand import MAX_RUNS, Expansion, expand
from dit_core.study.language.spec import load_study
from dit_core.study.language.study_model import Study
from dit_core.study.price import cost, predict
from dit_core.study.price.facts import cost_facts, network_facts
from dit_core.study.price.predict import Calibration
from dit_core.study.science.run import Run

_SHOWN = 40
_SETTLED = ("done", "diverged")


@dataclass(frozen=True, slots=True)
class Planned:
    """A study expanded and held against the store.

    `edit` says what differs from the runs the study had when it was last carried out; None if it
    never was. `calibration` is this machine's (`ditlab bench --save`); None where it was never
    measured.
    """

    study: Study
    expansion: Expansion
    states: tuple[RunState, ...]
    edit: StudyDiff | None
    calibration: Calibration | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return the runs in the order of the file."""
        return self.expansion.runs

    @property
    def left(self) -> tuple[Run, ...]:
        """Return the runs that are not finished yet."""
        pairs = zip(self.runs, self.states, strict=True)
        return tuple(run for run, state in pairs if state.word not in _SETTLED)


def plan(
    study: StudyArgument,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a study without runs.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show every run, not the first {_SHOWN}.")
    ] = False,
    stages: Annotated[
        int | None, typer.Option("--stages", help="Split each Transformer into N stages.")
    ] = None,
    unets: Annotated[
        bool, typer.Option("--unets", help="Name the U-Net that costs as much as each run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a study would run, what it costs, what is done already.

    Nothing is written or started.
    """
    planned = make_plan(study, Store.at(results), max_runs, allow_empty)
    if stages is not None:
        _stages(planned, stages, as_json)
    elif unets:
        _unets(planned, as_json)
    elif as_json:
        print_json(plan_document(planned))
    else:
        print_plan(planned, _SHOWN if not show_all else None)


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


def make_plan(
    path: Path, store: Store, max_runs: int = MAX_RUNS, allow_empty: bool = False, few: bool = False
) -> Planned:
    """Return the study at `path`, its runs, and how each stands in `store`; raise StudyError naming
    every fault.
    """
    study = load_study(path)
    expansion = expand(study, max_runs=max_runs, allow_empty=allow_empty)
    check_study(study, expansion.runs, few)
    before = planned_names(store, study.name)
    edit = compare(before, expansion) if before else None
    return Planned(study, expansion, states_of(store, expansion.runs), edit, _calibration(store))


def _calibration(store: Store) -> Calibration | None:
    """Return this machine's calibration; the machine is asked for its name only where there is one
    to look up.
    """
    if not (store.root / "bench" / "calibration.json").exists():
        return None
    from dit_core.bench.device import device_name

    return read_calibration(store, device_name())


def plan_document(planned: Planned) -> dict[str, Any]:
    """Return the plan as plain values, field names as in the tables."""
    rows = [run_row(run, state) for run, state in zip(planned.runs, planned.states, strict=True)]
    for row, run in zip(rows, planned.runs, strict=True):
        row["predicted_s"] = (
            predict.run_s(planned.calibration, run) if planned.calibration else None
        )
    return {
        "study": planned.study.name,
        "question": planned.study.question,
        "merged_duplicates": planned.expansion.merged_duplicates,
        "unmeasured": unmeasured(planned.study, planned.runs),
        "missing": missing_files(planned.left),
        "edit": {"added": planned.edit.added, "orphaned": planned.edit.orphaned}
        if planned.edit
        else None,
        "runs": rows,
        "totals": totals(planned),
    }


def run_row(run: Run, state: RunState) -> dict[str, Any]:
    """Return one run of a plan: identity, what varies, cost, state."""
    science = run.science
    return {
        "run_id": run.run_id,
        "name": run.name,
        **network_facts(science),
        "objective": science.objective.name,
        "seed": science.train.seed,
        **cost_facts(science),
        "sampling_flops": sum(
            2.0 * cost.sampling_macs(science, e.evaluation) for e in run.evaluations
        ),
        "memory_bytes": cost.memory_bytes(science, run.execution),
        "images": science.train.images,
        "evaluations": len(run.evaluations),
        "evaluated": state.evaluated,
        "state": state.word,
        "reason": state.reason,
        "swept": run.swept,
    }


def totals(planned: Planned) -> dict[str, Any]:
    """Return the sums of a plan: runs by state, evaluations, FLOPs in all and still to spend."""
    words: dict[str, int] = {}
    train = sampling = left = 0.0
    evaluations = evaluated = 0
    prices = cost.Prices()
    for run, state in zip(planned.runs, planned.states, strict=True):
        words[state.word] = words.get(state.word, 0) + 1
        training, each = prices.run_flops(
            run.science, (planned.evaluation for planned in run.evaluations)
        )
        train += training
        evaluations = evaluations + len(run.evaluations)
        evaluated = evaluated + state.evaluated
        sampling += sum(each)
        if state.word not in _SETTLED:
            share = (len(each) - state.evaluated) / len(each) if each else 0.0
            left += sum(each) * share + (0.0 if state.word == "trained" else training)
    return {
        "runs": len(planned.runs),
        "states": words,
        "evaluations": evaluations,
        "evaluated": evaluated,
        "train_flops": train,
        "sampling_flops": sampling,
        "flops_left": left,
        "predicted_wall_s": _wall_s(planned),
    }


def _wall_s(planned: Planned) -> float | None:
    """Return the predicted seconds until this machine has done what is left; None without a
    calibration.
    """
    if planned.calibration is None:
        return None
    return predict.wall_s(planned.calibration, planned.left) if planned.left else 0.0


def print_plan(planned: Planned, shown: int | None) -> None:
    """Print the plan as a table that fits the terminal, and its sums."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(planned.study.name)}[/]  {escape(planned.study.question)}", soft_wrap=False
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("run", overflow="fold", ratio=1)
    table.add_column("id", no_wrap=True, min_width=16)
    for title, width in (
        ("params", 6),
        ("tokens", 6),
        ("MACs", 5),
        ("FLOPs", 5),
        ("memory", 6),
        ("evals", 5),
    ):
        table.add_column(title, justify="right", no_wrap=True, min_width=width)
    table.add_column("state", no_wrap=True, min_width=5)
    rows = list(zip(planned.runs, planned.states, strict=True))
    for run, state in rows[:shown]:
        table.add_row(*_cells(run_row(run, state)))
    console.print(table)
    if shown is not None and len(rows) > shown:
        console.print(f"… and {len(rows) - shown:,} more runs (--all shows them)")
    for line in summary_lines(planned):
        console.print(line, soft_wrap=not console.is_terminal, markup=False)


def summary_lines(planned: Planned) -> list[str]:
    """Return the sums of a plan in words."""
    sums = totals(planned)
    states = ", ".join(f"{count:,} {word}" for word, count in sums["states"].items())
    lines = [
        f"{sums['runs']:,} runs ({states or 'none'}), "
        f"{sums['evaluated']:,} of {sums['evaluations']:,} evaluations made",
        f"training {si(sums['train_flops'])}FLOP + sampling {si(sums['sampling_flops'])}FLOP, "
        f"{si(sums['flops_left'])}FLOP left to spend",
    ]
    if sums["predicted_wall_s"] is not None:
        lines.append(
            f"about {sums['predicted_wall_s'] / 60:.1f} minutes on this machine, as calibrated"
        )
    if planned.edit and (planned.edit.added or planned.edit.orphaned):
        lines += [f"edited since it last ran: {planned.edit.lines()[0]}", *planned.edit.lines()[1:]]
    lines += unmeasured(planned.study, planned.runs)
    lines += [f"missing: {line}" for line in missing_files(planned.left)]
    if planned.expansion.merged_duplicates:
        lines.append(f"{planned.expansion.merged_duplicates:,} duplicates merged")
    return lines


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["name"] or "(base)",
        row["run_id"],
        si(row["params"]),
        "-" if row["tokens"] is None else str(row["tokens"]),
        si(row["fwd_gmacs"] * 1e9),
        si(row["train_flops"]),
        si(row["memory_bytes"]),
        f"{row['evaluated']}/{row['evaluations']}",
        row["state"],
    ]


def si(value: float) -> str:
    """Return a number with three digits and a unit prefix: 675M, 1.21P."""
    for size, prefix in (
        (1e21, "Z"),
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
    ):
        if value >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"
