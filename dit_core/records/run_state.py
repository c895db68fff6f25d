"""The state of a run, from its durable records first and its lease second."""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import RecordError
from dit_core.records.disk import bundle, lease
from dit_core.records.evals import read_eval
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science.run import Run

STATES = (
    "new",
    "waiting",
    "running",
    "stopped",
    "lost",
    "trained",
    "done",
    "diverged",
    "failed",
    "cancelled",
    "unknown",
    "torn",
)
"""The words for the state of a run, the same in every command.

new: never started or submitted · waiting: in a scheduler's queue · running: a living process owns
it · stopped: began and is not running · lost: submitted, but its task is gone · trained:
evaluations are missing · done: nothing left to do · diverged: a result · failed: see the reason ·
cancelled: by a person · unknown: the scheduler does not answer · torn: a record is unreadable.
The records alone never say waiting, lost, cancelled or unknown: slurm.standing does.
"""


@dataclass(frozen=True, slots=True)
class RunState:
    """A word of STATES, the reason, and how many of the planned evaluations have a record."""

    word: str
    reason: str
    evaluated: int = 0
    images_seen: int | None = None


def whole_run(training: str, evaluated: int, planned: int) -> str:
    """Return the state of a run, given that of its training and how many evaluations it has."""
    return "trained" if training == "done" and evaluated < planned else training


def states_of(store: Store, runs: tuple[Run, ...]) -> tuple[RunState, ...]:
    """Return the state of each of `runs`; lists the store once, so that new runs cost nothing."""
    there = store.run_ids()
    new = RunState("new", "not started")
    return tuple(state_of(store, run) if run.run_id in there else new for run in runs)


def state_of(store: Store, run: Run) -> RunState:
    """Return the state of `run` in `store`; reads a few small files and hashes nothing."""
    paths = store.run(run.run_id)
    if not paths.root.exists():
        return RunState("new", "not started")
    try:
        outcome = read_outcome(paths)
        evaluated = sum(has_record(paths, planned.eval_id) for planned in run.evaluations)
    except RecordError as error:
        return RunState("torn", str(error))
    owner = lease.holder(paths.lease)
    if owner is not None:
        return RunState("running", f"process {owner['pid']} on {owner['host']}", evaluated)
    if outcome is None:
        if paths.attempts.exists():
            return RunState("stopped", "began earlier and is not running now", evaluated)
        return RunState("new", "not started")
    images = outcome.images_seen
    if outcome.outcome != "DONE":
        return RunState(outcome.outcome.lower(), outcome.reason or "", evaluated, images)
    missing = len(run.evaluations) - evaluated
    reason = f"{missing} evaluations to make" if missing else "nothing left to do"
    return RunState(whole_run("done", evaluated, len(run.evaluations)), reason, evaluated, images)


def has_record(paths: RunPaths, eval_id: str) -> bool:
    """Return whether an evaluation has a whole record; a torn one is measured again."""
    try:
        return read_eval(paths, eval_id) is not None
    except RecordError:
        return False


def has_snapshot(paths: RunPaths, images_seen: int, *, sizes_only: bool = False) -> bool:
    """Return whether the EMA weights of a training point are there and whole."""
    try:
        bundle.verify(paths.snapshot(images_seen), sizes_only=sizes_only)
    except RecordError:
        return False
    return True
