"""What is known about the runs of a study, from records, leases, one squeue and sacct."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dit_core.errors import DitlabError, RecordError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk import lease
from dit_core.records.disk.bundle import MANIFEST
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science.run import Run
from slurm.orders import intent as intents
from slurm.orders.intent import Intent
from slurm.orders.payload import Item, Payload, read_payload
from slurm.scheduler.queue import Queue, Task, read_accounting, read_queue, uuid_in
from slurm.standing.progress import idle_attempts, newest_checkpoint, read_wish
from slurm.standing.standing import EvalFacts, Facts

# A lease whose file has not been touched for this long belongs to nobody who could be asked. By the
# clock of the file system on both sides; only a display depends on it: a task that starts finds out
# by watching the heartbeat.
QUIET_S = 6 * lease.BEAT_S


@dataclass
class Book:
    """Which tasks work on which run and evaluation, as all known intents and the queue have it."""

    training: dict[str, list[Task]] = field(default_factory=dict)
    evaluating: dict[str, list[Task]] = field(default_factory=dict)
    submitted: set[str] = field(default_factory=set)
    intents: dict[str, Intent] = field(default_factory=dict)
    payloads: dict[str, Payload] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)


@dataclass(frozen=True, slots=True)
class View:
    """The facts of every run of a study and the book they come from."""

    facts: dict[str, Facts]
    book: Book


def look(store: Store, study: str, runs: Iterable[Run], *, ask_scheduler: bool = True) -> View:
    """Return what is known about `runs`.

    One squeue call; sacct only for accepted tasks that squeue does not list.
    """
    book = Book(queue=_queue() if ask_scheduler else Queue(trouble="the scheduler was not asked"))
    _read_intents(book, store, study)
    _enter_forgotten(book, _enter_queue(book), store)
    return View({run.run_id: gather(store.run(run.run_id), run, book) for run in runs}, book)


def gather(paths: RunPaths, run: Run, book: Book) -> Facts:
    """Return the facts of one run: a handful of small files, read only as far as they matter."""
    tasks = _in_order(book.training.get(run.run_id, ()))
    common: dict[str, Any] = {
        "tasks": tasks,
        "submitted": run.run_id in book.submitted,
        "queue_ok": book.queue.trouble is None,
    }
    try:
        outcome = read_outcome(paths)
    except RecordError as error:
        return Facts(torn=str(error), **common)
    if outcome is None and not paths.root.exists():
        return Facts(
            evals={e.eval_id: _new_eval(e.eval_id, book) for e in run.evaluations}, **common
        )
    settled = outcome is not None and outcome.outcome != "FAILED"
    evals = _evals(paths, run, book)
    if outcome is not None and settled and all(e.done for e in evals.values()):
        # Nothing else can change how this run stands: with ten thousand of them every file counts.
        past = (outcome.outcome, outcome.reason, outcome.attempt)
        return Facts(
            outcome=past, images_seen=outcome.images_seen, started=True, evals=evals, **common
        )
    wish = read_wish(paths)
    attempts = [] if settled else read_attempts_safely(paths)
    after = wish.attempt if wish and wish.word == "retry" else 0
    newest = 0 if settled else newest_checkpoint(paths)
    return Facts(
        outcome=(outcome.outcome, outcome.reason, outcome.attempt) if outcome else None,
        owner=living_owner(paths.lease),
        started=bool(attempts),
        idle=idle_attempts(attempts, newest, after) if attempts else 0,
        wish=wish,
        images_seen=outcome.images_seen if outcome and settled else newest or None,
        evals=evals,
        **common,
    )


def living_owner(path: Path) -> str | None:
    """Return who holds a lease; None where nobody does or its heartbeat has long been silent."""
    owner = lease.holder(path)
    if owner is None:
        return None
    try:
        quiet = time.time() - path.stat().st_mtime
    except OSError:
        return None
    if owner["host"] != os.uname().nodename and quiet > QUIET_S:
        return None
    job = f"job {owner['job']}" if owner.get("job") else f"process {owner['pid']}"
    return f"{job} on {owner['host']}"


def read_attempts_safely(paths: RunPaths) -> list[dict[str, Any]]:
    """Return the attempts of a run; where one record is torn, those before it."""
    try:
        return read_attempts(paths)
    except RecordError:
        return []


def _queue() -> Queue:
    try:
        return read_queue()
    except DitlabError as error:
        return Queue(trouble=str(error))


def _read_intents(book: Book, store: Store, study: str) -> None:
    """Enter this study's intents, and other studies' in the queue: runs may be shared."""
    found = {i.uuid: i for i in intents.all_intents(store.intents(study))}
    for task in book.queue.tasks.values():
        uuid = uuid_in(task.name)
        if uuid is not None and uuid not in found:
            other = Intent(store.intents(task.name.rpartition("-")[0]) / uuid)
            if other.payload.exists():
                found[uuid] = other
    for uuid, intent in found.items():
        if intent.withdrawn():
            continue
        try:
            book.payloads[uuid] = read_payload(intent.payload)
        except (RecordError, OSError):
            continue
        book.intents[uuid] = intent
        if intent.job() is None:
            continue
        for items in book.payloads[uuid].tasks:
            for item in items:
                book.submitted.update((item.run,) if item.train else (), item.evals)


def _enter_queue(book: Book) -> set[tuple[str, int]]:
    """Enter every task that squeue lists; return (uuid, index) of each."""
    listed = set()
    for task in book.queue.tasks.values():
        uuid = uuid_in(task.name)
        if uuid in book.payloads:
            listed.add((uuid, _index(task)))
            _enter(book, str(uuid), task)
    return listed


def _enter_forgotten(book: Book, listed: set[tuple[str, int]], store: Store) -> None:
    """Enter tasks that squeue no longer lists, from words kept beside their intent or from sacct.

    Asked only about tasks whose work has no record: what is recorded needs no scheduler.
    """
    missing: dict[str, set[str]] = {}
    for uuid, intent in book.intents.items():
        job = intent.job()
        payload = book.payloads[uuid]
        absent = [i for i in payload.indices if (uuid, i) not in listed]
        if job is None or not absent:
            continue
        seen = intent.seen()
        for index in absent:
            key = f"{job}_{index}"
            if key in seen:
                _enter(book, uuid, Task(key, seen[key], f"x-{uuid}"))
            elif not all(_settled(store, item) for item in payload.task(index)):
                missing.setdefault(job, set()).add(key)
    if missing and book.queue.trouble is None:
        for task in read_accounting(missing).tasks.values():
            owner = uuid_in(task.name)
            # sacct may lag: it may end a task that squeue has forgotten, never keep one alive that
            # squeue denies.
            if (
                task.phase == "ended"
                and owner in book.payloads
                and task.key in missing[task.key.split("_")[0]]
            ):
                _enter(book, str(owner), task)
    _keep_words(book)


def _keep_words(book: Book) -> None:
    """Write down the last words that no record of ours tells, before Slurm forgets them."""
    words: dict[str, dict[str, str]] = {}
    for task in {
        t.key: t for tasks in (*book.training.values(), *book.evaluating.values()) for t in tasks
    }.values():
        uuid = uuid_in(task.name)
        if task.kind in ("cancelled", "out of memory", "failed") and uuid in book.intents:
            words.setdefault(str(uuid), {})[task.key] = task.word
    for uuid, fresh in words.items():
        known = book.intents[uuid].seen()
        if fresh.items() - known.items():
            intents.note_seen(book.intents[uuid], fresh)


def _settled(store: Store, item: Item) -> bool:
    paths = store.run(item.run)
    return (not item.train or paths.outcome.exists()) and all(
        paths.eval(e).exists() for e in item.evals
    )


def _evals(paths: RunPaths, run: Run, book: Book) -> dict[str, EvalFacts]:
    """Return the facts of every evaluation of a run; a file that is there was published whole."""
    present = _names(paths.evals)
    kept = _names(paths.snapshots) if len(present) < len(run.evaluations) else set()
    leases = _names(paths.eval_leases) if len(present) < len(run.evaluations) else set()
    found = {}
    for planned in run.evaluations:
        key = planned.eval_id
        if f"{key}.json" in present:
            found[key] = EvalFacts(done=True)
            continue
        error = (
            _first_line(paths.eval_error(key)) if paths.eval_error(key).name in present else None
        )
        point = paths.snapshot(planned.evaluation.images_seen)
        found[key] = EvalFacts(
            weights=point.name in kept and (point / MANIFEST).exists(),
            error=error,
            owner=living_owner(paths.eval_lease(key)) if f"{key}.json" in leases else None,
            tasks=_in_order(book.evaluating.get(key, ())),
            submitted=key in book.submitted,
        )
    return found


def _in_order(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return tasks oldest first, so that the last is the newest; squeue lists them in any order."""
    return tuple(sorted(tasks, key=lambda t: int(t.key.partition("_")[0])))


def _new_eval(key: str, book: Book) -> EvalFacts:
    return EvalFacts(tasks=tuple(book.evaluating.get(key, ())), submitted=key in book.submitted)


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _first_line(path: Path) -> str:
    """Return what went wrong from a written trace: its last line says it."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "its evaluation failed"
    return lines[-1][:300] if lines else "its evaluation failed"


def _enter(book: Book, uuid: str, task: Task) -> None:
    try:
        items = book.payloads[uuid].task(_index(task))
    except RecordError:
        return
    for item in items:
        if item.train:
            book.training.setdefault(item.run, []).append(task)
        for eval_id in item.evals:
            book.evaluating.setdefault(eval_id, []).append(task)


def _index(task: Task) -> int:
    return int(task.key.partition("_")[2] or 0)
