"""`ditlab submit STUDY -c PROFILE`: submit to Slurm what is neither done nor queued."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.options import (
    JsonOption,
    MaxRunsOption,
    ResultsOption,
    TrainAnywayOption,
    print_json,
)
from dit_core.cli.shared.plan_table import SHOWN, print_plan
from dit_core.cli.shared.planning import completed, edit_of, require_evaluations
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, study_file
from dit_core.errors import UserError
from dit_core.evaluate.protocol.check import check_study
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.records.run_state import states_of
from dit_core.study.grid.expand import MAX_RUNS, expand
from dit_core.study.grid.plan import Planned, plan_document
from dit_core.study.language.spec import load_study

if TYPE_CHECKING:
    from slurm.scheduler.profile import Profile
    from slurm.submission.reconcile import Reconciled

ClusterOption = Annotated[
    str, typer.Option("-c", "--cluster", help="Profile in the clusters file.")
]
ProfileFileOption = Annotated[
    Path | None,
    typer.Option("--profile-file", help="Clusters file; default ~/.config/ditlab/clusters.yaml."),
]
_FOLLOW_S = 30.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of one call."""

    go: bool
    max_device_hours: float | None
    estimate: bool
    probe: bool
    max_runs: int
    train_anyway: bool
    as_json: bool


def submit(
    study: StudyArgument,
    words: RunsArgument = None,
    cluster: ClusterOption = "",
    profile_file: ProfileFileOption = None,
    go: Annotated[
        bool, typer.Option("--go", help="Submit; without it nothing is written or started.")
    ] = False,
    max_device_hours: Annotated[
        float | None,
        typer.Option("--max-device-hours", help="Refuse to ask for more device-hours than this."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Stay and resubmit what comes back until nothing is left."),
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Ask Slurm when the first array could start.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="First run a small job that checks the results folder.")
    ] = False,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    train_anyway: TrainAnywayOption = False,
    as_json: JsonOption = False,
) -> None:
    """Submit what is missing of a study to Slurm.

    Runs that are done, queued or cancelled are left alone, each with its reason.
    """
    from slurm.scheduler.profile import load_profile

    if not cluster:
        raise UserError(
            "-c PROFILE is missing: the profile says which partition and nodes to ask for"
        )
    store = Store.at(results)
    file = study_file(study, store)
    profile = load_profile(cluster, profile_file)
    asked = Asked(go, max_device_hours, estimate, probe, max_runs, train_anyway, as_json)
    while _once(file, words or [], profile, store, asked) and follow and go:
        asked = replace(asked, estimate=False, probe=False)
        time.sleep(_FOLLOW_S)


def _once(path: Path, words: list[str], profile: Profile, store: Store, asked: Asked) -> bool:
    """Reconcile once; return whether anything is still under way or left to submit."""
    from dit_core.study.grid.select import select
    from slurm.submission.cluster import start_estimate
    from slurm.submission.reconcile import Order, reconcile

    study = load_study(path)
    expansion = expand(study, max_runs=asked.max_runs)
    check_study(study, expansion.runs)
    chosen = select(expansion.runs, words)
    edit = edit_of(store, study, expansion)
    shown = replace(expansion, runs=chosen)
    if asked.go:
        now = Planned(study, shown, states_of(store, chosen), edit)
        require_evaluations(now, asked.train_anyway)
        write_plan(store, study.name, study.text, expansion.runs)
    order = Order(asked.go, asked.max_device_hours, asked.probe)
    found = reconcile(store, study.name, chosen, profile, order)
    states = tuple(row.state for row in found.decision.rows)
    planned = completed(Planned(study, shown, states, edit))
    if asked.as_json:
        print_json(_document(planned, found))
        return found.busy
    _show(planned, found)
    if asked.estimate and found.arrays:
        print(
            "first start, as Slurm estimates: "
            f"{start_estimate(store, study.name, profile, found.arrays[0])}"
        )
    _say_what_was_done(found, asked.go)
    return found.busy


def _show(planned: Planned, found: Reconciled) -> None:
    for line in found.recovered:
        print(line)
    print_plan(planned, SHOWN)
    reasons: dict[str, int] = {}
    for row in found.decision.rows:
        text = f"{row.action}: {row.state.word} ({row.training.why.split(':')[0][:80]})"
        reasons[text] = reasons.get(text, 0) + 1
    for text, count in sorted(reasons.items(), key=lambda pair: -pair[1])[:12]:
        print(f"  {count:,} × {text}")
    tasks = sum(len(a.tasks) for a in found.arrays)
    price = found.bill.summary
    print(
        f"to submit: {tasks:,} tasks in {len(found.arrays)} arrays; {price}"
        if tasks
        else "to submit: nothing"
    )


def _document(planned: Planned, found: Reconciled) -> dict[str, Any]:
    document = plan_document(planned)
    actions = {row.run.run_id: row.action for row in found.decision.rows}
    for entry in document["runs"]:
        entry["action"] = actions[entry["run_id"]]
    jobs = found.submission.jobs if found.submission else []
    return document | {
        "recovered": list(found.recovered),
        "tasks": sum(len(a.tasks) for a in found.arrays),
        "device_hours_at_most": found.bill.at_most,
        "device_hours_estimate": found.bill.estimate,
        "jobs": [{"job": job, "tasks": len(a.tasks), "evaluates": a.evaluates} for job, a in jobs],
        "tasks_waiting_for_room": found.submission.waiting if found.submission else 0,
        "scheduler": found.view.book.queue.trouble,
    }


def _say_what_was_done(found: Reconciled, go: bool) -> None:
    if found.view.book.queue.trouble is not None:
        print(f"note: {found.view.book.queue.trouble}")
    if found.submission is None:
        if found.arrays and not go:
            print("nothing was submitted; --go submits")
        return
    jobs = ", ".join(job for job, _ in found.submission.jobs) or "none"
    print(f"submitted {found.submission.tasks:,} tasks as jobs {jobs}")
    if found.submission.waiting:
        left = found.submission.waiting
        print(
            f"{left:,} tasks wait for room in the queue; run the command again later, or with "
            "--follow"
        )
