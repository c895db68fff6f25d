"""How a run stands, from its durable records first and its lease second. Absence proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import RecordError
from dit_core.records.disk import bundle, lease
from dit_core.records.evals import read_eval
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science.run import Run

STATES = ("new", "part", "running", "trained", "done", "diverged", "failed", "torn")


@dataclass(frozen=True, slots=True)
class RunState:
    """One word of STATES, the reason in words, and how many of the planned evaluations have a
    record.

    new: nothing there · part: stopped on the way · running: a living process owns it · trained:
    evaluations are missing · done: nothing left to do · diverged: a result · failed: see the reason
    · torn: a record is not readable.
    """

    word: str
    reason: str
    evaluated: int = 0
    images_seen: int | None = None


def states_of(store: Store, runs: tuple[Run, ...]) -> tuple[RunState, ...]:
    """Return how each of `runs` stands; of new runs the store is listed once, not asked one by
    one.
    """
    there = store.run_ids()
    new = RunState("new", "not started")
    return tuple(state_of(store, run) if run.run_id in there else new for run in runs)


def state_of(store: Store, run: Run) -> RunState:
    """Return how `run` stands in `store`; reads a handful of small files and hashes nothing."""
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
        started = paths.attempts.exists()
        return (
            RunState("part", "stopped on the way", evaluated)
            if started
            else RunState("new", "not started")
        )
    images = outcome.images_seen
    if outcome.outcome != "DONE":
        return RunState(outcome.outcome.lower(), outcome.reason or "", evaluated, images)
    if evaluated < len(run.evaluations):
        return RunState(
            "trained", f"{len(run.evaluations) - evaluated} evaluations to make", evaluated, images
        )
    return RunState("done", "nothing left to do", evaluated, images)


def has_record(paths: RunPaths, eval_id: str) -> bool:
    """Return whether an evaluation has a whole record; a torn one counts as missing and is measured
    again.
    """
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
