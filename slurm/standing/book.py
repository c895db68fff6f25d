"""Which tasks work on which run: from the intents on disk, squeue, and who else can be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dit_core.errors import DitlabError, RecordError
from dit_core.records.paths import Store
from slurm.orders import intent as intents
from slurm.orders.intent import Intent
from slurm.orders.payload import Item, Payload, read_payload
from slurm.scheduler.queue import Queue, Task, read_queue, uuid_in
from slurm.standing.absent import Missing, absent_tasks

_STUDY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass
class Book:
    """Which tasks work on which run and evaluation, as all known intents and the queue have it."""

    training: dict[str, list[Task]] = field(default_factory=dict)
    evaluating: dict[str, list[Task]] = field(default_factory=dict)
    submitted: set[str] = field(default_factory=set)
    intents: dict[str, Intent] = field(default_factory=dict)
    payloads: dict[str, Payload] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)
    now: float | None = None
    """The file server's time at the look."""


def make_book(store: Store, study: str, *, ask_scheduler: bool = True) -> Book:
    """Return the book of a study: one squeue call, others only about tasks it does not list."""
    book = Book(queue=_queue() if ask_scheduler else Queue(trouble="the scheduler was not asked"))
    _read_intents(book, store, study)
    _enter_forgotten(book, _enter_queue(book), store)
    return book


def _queue() -> Queue:
    try:
        return read_queue()
    except DitlabError as error:
        return Queue(trouble=str(error))


def _read_intents(book: Book, store: Store, name: str) -> None:
    """Enter this study's intents, and other studies' in the queue: runs may be shared."""
    found = {i.uuid: i for i in intents.all_intents(store.intents(name))}
    for task in book.queue.tasks.values():
        uuid = uuid_in(task.name)
        study = task.name.rpartition("-")[0]
        # a job's name is anybody's to choose: only a study's own name may become a path
        if uuid is not None and uuid not in found and _STUDY.fullmatch(study):
            other = Intent(store.intents(study) / uuid)
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
    """Enter tasks that squeue does not list: from words kept beside their intent, or by asking.

    Asked only about tasks whose work has no record: what is recorded needs no scheduler.
    """
    missing: dict[str, list[Missing]] = {}
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
                word, _, reason = seen[key].partition("|")
                _enter(book, uuid, Task(key, word, f"x-{uuid}", reason))
            elif not all(_settled(store, item) for item in payload.task(index)):
                missing.setdefault(job, []).append(Missing(key, intent, payload.task(index)))
    if missing and book.queue.trouble is None:
        for task in absent_tasks(missing, store):
            _enter(book, str(uuid_in(task.name)), task)
    _keep_words(book)


def _keep_words(book: Book) -> None:
    """Write down the last words of ended tasks before Slurm forgets them, a person's too."""
    words: dict[str, dict[str, str]] = {}
    entered = (*book.training.values(), *book.evaluating.values())
    for task in {t.key: t for tasks in entered for t in tasks}.values():
        uuid = uuid_in(task.name)
        if task.phase == "ended" and uuid in book.intents:
            last = f"{task.word}|{task.reason}" if task.reason else task.word
            words.setdefault(str(uuid), {})[task.key] = last
    for uuid, fresh in words.items():
        known = book.intents[uuid].seen()
        if fresh.keys() - known.keys():
            intents.note_seen(book.intents[uuid], fresh)


def _settled(store: Store, item: Item) -> bool:
    paths = store.run(item.run)
    return (not item.train or paths.outcome.exists()) and all(
        paths.eval(e).exists() for e in item.evals
    )


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
