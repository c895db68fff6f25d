"""`ditlab submit STUDY -c PROFILE`: hold a study against what is done and queued, and submit the rest to Slurm."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.options import JsonOption, MaxRunsOption, ResultsOption, StudyArgument, print_json
from dit_core.cli.plan import Planned, plan_document, print_plan
from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.records.state import RunState
from dit_core.study.expand import MAX_RUNS, expand
from dit_core.study.spec import load_study

if TYPE_CHECKING:
    from slurm.decide import Array, Decision
    from slurm.profile import Profile
    from slurm.state import View
    from slurm.submit import Submission

ClusterOption = Annotated[str, typer.Option("-c", "--cluster", help="Profile in the clusters file.")]
ProfileFileOption = Annotated[
    Path | None, typer.Option("--profile-file", help="Clusters file; default ~/.config/ditlab/clusters.yaml.")
]
_FOLLOW_S = 30.0


def submit(
    study: StudyArgument,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN…]", help="Runs, or filters: model.size=XL.")
    ] = None,
    cluster: ClusterOption = "",
    profile_file: ProfileFileOption = None,
    go: Annotated[bool, typer.Option("--go", help="Submit; without it nothing is written or started.")] = False,
    max_device_hours: Annotated[
        float | None, typer.Option("--max-device-hours", help="Refuse to ask for more device-hours than this.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and submit again what comes back, until nothing is left.")
    ] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Ask Slurm when the first array could start.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="First run a small job that checks the results folder.")
    ] = False,
    results: ResultsOption = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    as_json: JsonOption = False,
) -> None:
    """Submit what is missing of a study to Slurm: what is done, queued or cancelled is left alone, with the reason."""
    from slurm.profile import load_profile

    if not cluster:
        raise UserError("-c PROFILE is missing: the profile says which partition and nodes to ask for")
    profile = load_profile(cluster, profile_file)
    store = Store.at(results)
    while True:
        left = _once(study, words or [], profile, store, go, max_device_hours, estimate, probe, max_runs, as_json)
        if not (follow and go and left):
            return
        probe = estimate = False
        time.sleep(_FOLLOW_S)


def _once(
    path: Path, words: list[str], profile: Profile, store: Store, go: bool, most_hours: float | None,
    estimate: bool, probe: bool, max_runs: int, as_json: bool,
) -> bool:  # fmt: skip
    """Reconcile once; return whether anything is still under way or left to submit."""
    from slurm.commands import site_limits
    from slurm.decide import arrange, decide
    from slurm.hours import bill
    from slurm.inspect import check_asks, start_estimate
    from slurm.probe import probe_results
    from slurm.select import select
    from slurm.state import look
    from slurm.submit import lock, make_site, perform, settle

    study = load_study(path)
    expansion = expand(study, max_runs=max_runs)
    chosen = select(expansion.runs, words)
    claim = lock(store, study.name) if go else None
    try:
        said = settle(store, study.name) if go else []
        view = look(store, study.name, chosen)
        if go and view.book.queue.trouble is not None:
            raise EnvironmentProblem(f"{view.book.queue.trouble}; what is queued is not known: nothing is submitted")
        decision = decide(chosen, view.facts)
        arrays = arrange(decision, profile, site_limits().array_tasks)
        check_asks(profile, arrays)
        cost = bill(store, decision, arrays, profile)
        if most_hours is not None and cost.hours > most_hours:
            raise UserError(
                f"--max-device-hours {most_hours:g}: this asks for {cost.words}; choose fewer runs, or allow more"
            )
        planned = Planned(study, type(expansion)(chosen, expansion.merged_duplicates), states_of(decision))
        if not as_json:
            _show(planned, decision, arrays, cost.words, said)
        if estimate and arrays:
            print(f"first start, as Slurm estimates: {start_estimate(store, study.name, profile, arrays[0])}")
        submission = None
        if go and arrays:
            if probe:
                probe_results(store, profile)
            write_plan(store, study.name, study.text, expansion.runs)
            queued = sum(t.phase in ("waiting", "running") for t in view.book.queue.tasks.values())
            submission = perform(make_site(store, study.name, profile), arrays, chosen, queued)
    finally:
        if claim is not None:
            claim.release()
    _report(planned, decision, view, submission, go, said, as_json)
    return bool(arrays) or any(row.training.word in ("running", "waiting") for row in decision.rows)


def states_of(decision: Decision) -> tuple[RunState, ...]:
    """Return how every run stands in the words of the plan's table."""
    states = []
    for row in decision.rows:
        made = sum(s.word == "done" for s in row.evals.values())
        word = row.training.word
        if word == "done" and made < len(row.run.evaluations):
            word = "trained"
        states.append(RunState(word, row.training.why, made))
    return tuple(states)


def _show(planned: Planned, decision: Decision, arrays: tuple[Array, ...], cost: str, said: list[str]) -> None:
    for line in said:
        print(line)
    print_plan(planned, 40)
    reasons: dict[str, int] = {}
    for row in decision.rows:
        text = f"{row.action}: {row.training.word} ({_general(row.training.why)})"
        reasons[text] = reasons.get(text, 0) + 1
    for text, count in sorted(reasons.items(), key=lambda pair: -pair[1])[:12]:
        print(f"  {count:,} × {text}")
    tasks = sum(len(a.tasks) for a in arrays)
    print(f"to submit: {tasks:,} tasks in {len(arrays)} arrays; {cost}" if arrays else "to submit: nothing")


def _general(why: str) -> str:
    return why.split(":")[0][:80]


def _report(
    planned: Planned, decision: Decision, view: View, submission: Submission | None, go: bool, said: list[str],
    as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        document: dict[str, Any] = plan_document(planned)
        actions = {row.run.run_id: row.action for row in decision.rows}
        for entry in document["runs"]:
            entry["action"] = actions[entry["run_id"]]
        document["recovered"] = said
        document["jobs"] = [
            {"job": job, "tasks": len(a.tasks), "evaluates": a.evaluates}
            for job, a in (submission.jobs if submission else [])
        ]
        document["tasks_waiting_for_room"] = submission.waiting if submission else 0
        document["scheduler"] = view.book.queue.trouble
        print_json(document)
        return
    if view.book.queue.trouble is not None:
        print(f"note: {view.book.queue.trouble}")
    if submission is None:
        if decision.to_do and not go:
            print("nothing was submitted; --go does it")
        return
    jobs = ", ".join(job for job, _ in submission.jobs) or "none"
    print(f"submitted {submission.tasks:,} tasks as jobs {jobs}")
    if submission.waiting:
        print(f"{submission.waiting:,} tasks wait for room in the queue: run the same command later, or with --follow")
