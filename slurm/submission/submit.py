"""Carries a decision out: an intent for every array, then sbatch, then the job's id.

May be killed at any line.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.disk import lease
from dit_core.records.paths import Store
from dit_core.records.provenance import provenance
from dit_core.study.science.run import Run
from slurm.orders import intent as intents
from slurm.orders.intent import Intent
from slurm.orders.payload import Payload
from slurm.orders.snapshot import Code, take_snapshot
from slurm.scheduler.commands import SUBMIT_TIMEOUT_S, Answer, ask
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import Queue, read_accounting, read_queue
from slurm.scheduler.script import Job, render
from slurm.submission.decide import Array

# What sbatch says where a limit on queued tasks is reached: wait, do not fail.
_LIMIT = re.compile(
    r"MaxSubmit|MaxJobCount|JobLimit|[Jj]ob (?:submit )?limit|Resource temporarily "
    r"unavailable|MaxJobs"
)
# What it says where the request may or may not have reached the controller.
_UNSURE = re.compile(
    r"timed? ?out|time limit|Unable to contact|Connection (?:refused|reset)|Zero Bytes|Transport "
    r"end"
)
_LOCK_WAIT_S = 60.0
LOOK_S = (0.5, 2.0, 5.0)
"""Pauses before each look for a job whose acceptance is in doubt."""


@dataclass
class Submission:
    """What became of a decision: accepted arrays, and tasks that wait for room in the queue."""

    jobs: list[tuple[str, Array]]
    tasks: int = 0
    waiting: int = 0
    said: list[str] | None = None


@dataclass(frozen=True)
class Site:
    """Everything a submission needs besides what to submit."""

    store: Store
    study: str
    profile: Profile
    code: Code
    commit: str
    reached: Callable[[str], None] = lambda step: None
    """Called with the name of every step; tests end the process here."""


def make_site(
    store: Store, study: str, profile: Profile, reached: Callable[[str], None] = lambda step: None
) -> Site:
    """Return the site of a submission, with a copy of the code; refuse world-writable folders."""
    _refuse_open_folders(store, study)
    facts = provenance()
    commit = f"{facts['commit'] or ''}{'+dirty' if facts['dirty'] else ''}"
    return Site(store, study, profile, take_snapshot(store.code), commit, reached)


def lock(store: Store, study: str, wait_s: float = _LOCK_WAIT_S) -> lease.Lease:
    """Return the claim on submitting this study; raise EnvironmentProblem after `wait_s` seconds.

    A courtesy that saves double work. Two submitters that got past it would still not train a run
    twice: tasks claim their run before they begin.
    """
    path = store.submit_lock(study)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return lease.acquire(path)
        except lease.LeaseHeld as held:
            owner = held.owner
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"study {study!r} is being submitted by process {owner['pid']} on "
                    f"{owner['host']} since "
                    f"{owner.get('at')}; wait for it to end"
                ) from None
            time.sleep(0.2)


def settle(store: Store, study: str, queue: Queue | None = None) -> list[str]:
    """Adopt the jobs of submissions cut short, or withdraw them; return a line on each."""
    open_ones = intents.undecided(store.intents(study))
    if not open_ones:
        return []
    queue = queue or read_queue()
    names = [f"{study}-{i.uuid}" for i in open_ones]
    accounting = read_accounting((), names) if queue.trouble is None else Queue()
    return intents.recover(open_ones, queue, accounting)


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
    if not _LIMIT.search(answer.trouble):
        raise EnvironmentProblem(f"sbatch refused: {answer.trouble}{_advice(answer.trouble)}")
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
    folder = study_intents / uuid
    name = f"{site.study}-{uuid}"
    minutes = site.profile.minutes
    if array.evaluates:
        minutes = site.profile.evaluation_minutes or minutes
    job = Job(name, folder, array.indices, array.processes, minutes, after)
    code = {"folder": str(site.code.folder), "sha256": site.code.sha256, "commit": site.commit}
    payload = Payload(
        uuid,
        site.study,
        str(site.store.root),
        code,
        site.profile.requeue,
        array.tasks,
        array.indices,
        array.processes,
        followers,
    )
    needed = {item.run for task in array.tasks for item in task}
    site.reached("before intent")
    script = render(site.profile, job, site.code, site.commit)
    intent = intents.publish(study_intents, payload, (runs[r] for r in sorted(needed)), script)
    site.reached("after intent")
    answer = ask("sbatch", "--parsable", str(intent.script), timeout_s=SUBMIT_TIMEOUT_S)
    site.reached("after sbatch")
    found = _job_id(answer) or _look_up(intent, name, answer)
    if found is None:
        intents.withdraw(intent, answer.trouble)
        return None, answer
    intents.record_job(intent, found, "sbatch" if _job_id(answer) else "adopted")
    site.reached("after record")
    return found, answer


def _job_id(answer: Answer) -> str | None:
    """Return the job id in sbatch's answer ("123" or "123;cluster"), ignoring banners around it."""
    if not answer.ok:
        return None
    hits = [
        re.fullmatch(r"(?:Submitted batch job )?(\d+)(?:;[A-Za-z0-9_.-]+)?", line.strip())
        for line in answer.out.splitlines()
    ]
    ids = [hit.group(1) for hit in hits if hit]
    return ids[-1] if ids else None


def _look_up(intent: Intent, name: str, answer: Answer) -> str | None:
    """Return the job that carries the intent's name, where sbatch's answer does not say.

    None is a certain refusal.

    Raises EnvironmentProblem where nobody can tell: the intent then stays open and the next call
    settles it.
    """
    sure = answer.code not in (0, None) and not _UNSURE.search(answer.trouble)
    if sure and _LIMIT.search(answer.trouble):
        return None
    for pause_s in (0.0,) if sure else LOOK_S:
        time.sleep(pause_s)
        queue = read_queue()
        accounting = read_accounting((), (name,)) if queue.trouble is None else Queue()
        for task in (*queue.tasks.values(), *accounting.tasks.values()):
            if task.name == name:
                return task.key.split("_")[0]
        if queue.trouble is None and sure:
            return None
    if queue.trouble is None:
        return None
    raise EnvironmentProblem(
        f"sbatch: {answer.trouble}; and {queue.trouble}. Whether Slurm took job {name} is not "
        "known yet: "
        "the same command finds out when Slurm answers again"
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


def _refuse_open_folders(store: Store, study: str) -> None:
    for folder in (
        store.root,
        store.code,
        store.studies,
        store.study(study),
        store.runs,
    ):
        try:
            mode = os.stat(folder).st_mode
        except FileNotFoundError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UserError(
                f"{folder}: everybody may write here, and what lies here runs as you; chmod o-w it "
                "first"
            )


def _advice(words: str) -> str:
    hints = {
        "partition": "; `ditlab clusters` shows the partitions of this cluster",
        "qos": "; `sacctmgr show qos` shows what there is",
        "account": "; `sacctmgr show assoc user=$USER` shows your accounts",
        "node configuration": "; no node has the GPUs, cores or memory that the profile asks for",
    }
    return next((hint for key, hint in hints.items() if key in words.lower()), "")
