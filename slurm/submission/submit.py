"""Submits what was decided: an intent for every array, then sbatch, then the job's id.

May be killed at any line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.records.paths import Store
from dit_core.study.science.run import Run
from slurm.orders import intent as intents
from slurm.orders.payload import Payload
from slurm.scheduler.commands import SUBMIT_TIMEOUT_S, Answer, ask
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import Queue, read_accounting, read_controller, read_queue
from slurm.submission import sbatch
from slurm.submission.decide import Array
from slurm.submission.script import Job, render
from slurm.submission.site import Site


@dataclass
class Submission:
    """What became of a decision: accepted arrays, and tasks that wait for room in the queue."""

    jobs: list[tuple[str, Array]]
    tasks: int = 0
    waiting: int = 0
    said: list[str] | None = None


def settle(store: Store, study: str, queue: Queue | None = None) -> list[str]:
    """Adopt the jobs of submissions cut short, or withdraw them; return a line on each."""
    open_ones = intents.undecided(store.intents(study))
    if not open_ones:
        return []
    queue = queue or read_queue()
    if queue.trouble is not None:
        return intents.recover(open_ones, queue, Queue())
    names = [f"{study}-{i.uuid}" for i in open_ones]
    accounting = read_accounting((), names)
    # squeue may show less than there is; the controller's own list has every job by its name
    every = read_controller()
    seen = Queue({**accounting.tasks, **every.tasks, **queue.tasks}, every.trouble)
    return intents.recover(open_ones, seen, accounting)


def perform(
    site: Site, arrays: tuple[Array, ...], runs: Iterable[Run], queued: int = 0
) -> Submission:
    """Submit `arrays` in order; `queued` tasks of this user are in the queue already.

    Where the queue is full the rest waits for the next call. A training array and its followers go
    together.
    """
    known = {run.run_id: _absolute(run, site.profile) for run in runs}
    done = Submission([], said=[])
    room = site.profile.max_queued - queued if site.profile.max_queued is not None else None
    for array, followers in _groups(arrays):
        whole = [array, *followers]
        size = sum(len(a.tasks) for a in whole)
        if done.waiting or (room is not None and room < size):
            part = _fitting(whole, room or 0) if not done.waiting else None
            if part is None:
                done.waiting += size
                continue
            done.waiting += size - sum(len(a.tasks) for a in part)
            whole = part
        placed = _submit_group(site, whole, known, done)
        if room is not None:
            room -= placed
    return done


def _submit_group(site: Site, group: list[Array], runs: dict[str, Run], done: Submission) -> int:
    """Submit an array and its followers; halve them while Slurm says there is no room.

    Return the tasks placed.
    """
    uuids = [intents.new_uuid() for _ in group]
    after: str | None = None
    placed = 0
    for k, array in enumerate(group):
        followers = tuple(uuids[1:]) if k == 0 else ()
        job, answer = _submit_one(site, array, runs, uuids[k], followers, array.after or after)
        if job is None:
            return placed + _no_room(site, group, k, runs, done, answer)
        after = job if k == 0 and not array.evaluates else after
        done.jobs.append((job, array))
        done.tasks += len(array.tasks)
        placed += len(array.tasks)
    return placed


def _no_room(
    site: Site, group: list[Array], k: int, runs: dict[str, Run], done: Submission, answer: Answer
) -> int:
    """Submit half of an array that Slurm refused for a full queue; else raise its words."""
    if not sbatch.is_full(answer):
        raise EnvironmentProblem(f"sbatch refused: {answer.trouble}{sbatch.advice(answer)}")
    size = len(group[0].tasks)
    if k > 0 or size == 1:
        # Followers of a placed training are submitted by the next call, when their training is
        # there or done.
        done.waiting += sum(len(a.tasks) for a in group[k:])
        return 0
    half = _cut(group, group[0].indices[(size - 1) // 2])
    placed = _submit_group(site, half, runs, done)
    done.waiting += sum(len(a.tasks) for a in group) - sum(len(a.tasks) for a in half)
    return placed


def _submit_one(
    site: Site,
    array: Array,
    runs: dict[str, Run],
    uuid: str,
    followers: tuple[str, ...],
    after: str | None,
) -> tuple[str | None, Answer]:
    """Submit one array: intent, sbatch, job id.

    Return (None, answer) where Slurm certainly refused it.
    """
    study_intents = site.store.intents(site.study)
    job = _job(site, array, study_intents / uuid, after)
    payload = _payload(site, array, uuid, followers)
    needed = {item.run for task in array.tasks for item in task}
    site.reached("before intent")
    script = render(site.profile, job, site.code, site.commit)
    intent = intents.publish(study_intents, payload, (runs[r] for r in sorted(needed)), script)
    site.reached("after intent")
    answer = ask("sbatch", "--parsable", str(intent.script), timeout_s=SUBMIT_TIMEOUT_S)
    site.reached("after sbatch")
    said = sbatch.job_id(answer)
    found = said or sbatch.look_up(job.name, answer)
    if found is None:
        intents.withdraw(intent, answer.trouble)
        return None, answer
    intents.record_job(intent, found, "sbatch" if said else "adopted")
    site.reached("after record")
    return found, answer


def _job(site: Site, array: Array, folder: Path, after: str | None) -> Job:
    minutes = site.profile.minutes
    if array.evaluates:
        minutes = site.profile.evaluation_minutes or minutes
    name = f"{site.study}-{folder.name}"
    return Job(name, folder, array.indices, array.processes, minutes, after)


def _payload(site: Site, array: Array, uuid: str, followers: tuple[str, ...]) -> Payload:
    code = {"folder": str(site.code.folder), "sha256": site.code.sha256, "commit": site.commit}
    return Payload(
        uuid=uuid,
        study=site.study,
        results=str(site.store.root),
        code=code,
        requeue=site.profile.requeue,
        tasks=array.tasks,
        indices=array.indices,
        processes=array.processes,
        followers=followers,
    )


def _groups(arrays: tuple[Array, ...]) -> Iterable[tuple[Array, list[Array]]]:
    for position, array in enumerate(arrays):
        if array.follows is None:
            yield array, [a for a in arrays if a.follows == position]


def _fitting(group: list[Array], room: int) -> list[Array] | None:
    """Return the largest beginning of a group with at most `room` tasks; None if no run fits."""
    best = None
    for index in group[0].indices:
        part = _cut(group, index)
        if sum(len(a.tasks) for a in part) > room:
            break
        best = part
    return best


def _cut(group: list[Array], last: int) -> list[Array]:
    """Return the group with the indices up to `last` only."""
    parts = []
    for array in group:
        count = sum(1 for i in array.indices if i <= last)
        if count:
            parts.append(replace(array, tasks=array.tasks[:count], indices=array.indices[:count]))
    return parts


def _absolute(run: Run, profile: Profile) -> Run:
    """Return the run with data roots that do not depend on the folder a task starts in."""
    given = {**run.execution.data_roots, **profile.data_roots}
    roots = {name: str(Path(root).expanduser().absolute()) for name, root in given.items()}
    return replace(run, execution=run.execution.model_copy(update={"data_roots": roots}))
