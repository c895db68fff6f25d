"""Accepted tasks that squeue does not list: what every other source says about them.

An absent task is evidence, not proof. It is lost only after two looks apart in time in which
neither squeue nor the controller nor accounting knew it; the first look is kept beside its intent.
Where no accounting answers, a person may have cancelled it: that cannot be told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk.clock import server_now
from dit_core.records.disk.files import write_json
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import Store
from slurm.orders.intent import Intent
from slurm.orders.payload import Item
from slurm.scheduler.queue import Queue, Task, read_accounting, read_controller

APART_S = 30.0
_RESUBMITS = "`ditlab retry` resubmits it"


@dataclass(frozen=True, slots=True)
class Missing:
    """A task that squeue does not list although its intent was accepted, and what it is to do."""

    key: str
    intent: Intent
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """Return a task name that carries the intent's uuid."""
        return f"x-{self.intent.uuid}"

    def doubtful(self, why: str) -> Task:
        """Return the task as one of which nothing is known, and why."""
        return Task(self.key, "", self.name, doubt=why)


def absent_tasks(missing: dict[str, list[Missing]], store: Store) -> Iterator[Task]:
    """Yield what is known of tasks that squeue does not list, by job; nothing for lost ones."""
    left: dict[str, list[Missing]] = {}
    troubles: dict[str, str] = {}
    for job, tasks in missing.items():
        controller = read_controller(job)
        known = [m for m in tasks if _same(controller.tasks.get(m.key), m)]
        yield from (controller.tasks[m.key] for m in known)
        left[job] = [m for m in tasks if m not in known]
        if controller.trouble is not None:
            troubles[job] = controller.trouble
    asked = [job for job, tasks in left.items() if tasks]
    accounting = read_accounting(asked) if asked else Queue()
    now = server_now(store.root)
    for job in asked:
        looks = _Looks.of(left[job][0].intent)
        for task in left[job]:
            found = _accounted(task, job, accounting) or _silent(
                task, looks, now, troubles.get(job), accounting.trouble, store
            )
            if found is not None:
                yield found
        looks.keep()


def _same(task: Task | None, missing: Missing) -> bool:
    """Return whether a task found by its id carries the intent's name: ids are given out again."""
    return task is not None and task.name.endswith(missing.intent.uuid)


def _accounted(missing: Missing, job: str, accounting: Queue) -> Task | None:
    """Return what accounting says of a task.

    A cancelled array that never started stands there under the job's id alone. It may lag, so it
    may end a task, but never keep one alive that the controller denies.
    """
    for key in (missing.key, job):
        task = accounting.tasks.get(key)
        if task is None or not _same(task, missing):
            continue
        if task.phase == "ended":
            return Task(missing.key, task.word, missing.name, task.reason, task.node)
        return missing.doubtful(
            f"accounting says {task.word!r} and squeue does not list it; if that stays so, "
            f"{_RESUBMITS}"
        )
    return None


def _silent(
    missing: Missing,
    looks: _Looks,
    now: float,
    controller: str | None,
    accounting: str | None,
    store: Store,
) -> Task | None:
    """Return a doubtful task, or None where it is lost: nobody knows it, in looks apart in time."""
    if looks.is_lost(missing.key):
        return None
    if controller is not None:
        return missing.doubtful(
            f"squeue does not list it and the controller does not say ({controller}); if that "
            f"stays so, {_RESUBMITS}"
        )
    if not looks.apart(missing.key, now):
        return missing.doubtful(
            f"squeue does not list it; another look, {APART_S:g} s or more after the first, decides"
        )
    if accounting is not None and not _broke_off(missing, store):
        return missing.doubtful(
            "Slurm has forgotten it and no accounting says how it ended; a person may have "
            f"cancelled it: {_RESUBMITS}"
        )
    looks.lost(missing.key)
    return None


def _broke_off(missing: Missing, store: Store) -> bool:
    """Return whether our own records say that nobody's wish ended the task.

    A cancelled training saves and says so; one that was killed, or ran out of time, does not. The
    evaluations behind an unfinished training go with it.
    """
    for item in missing.items:
        paths = store.run(item.run)
        if item.train:
            mine = [a for a in read_attempts(paths) if a.get("job") == missing.key]
            if not mine or (mine[-1].get("end") and mine[-1].get("reason") != "SIGUSR2"):
                return False
            continue
        try:
            outcome = read_outcome(paths)
        except RecordError:
            return False
        if outcome is not None and outcome.outcome == "DONE":
            return False
    return True


@dataclass(slots=True)
class _Looks:
    """When each task of an intent was first found absent, by the file server's time."""

    intent: Intent
    first: dict[str, Any]
    fresh: bool = False

    @classmethod
    def of(cls, intent: Intent) -> _Looks:
        """Return the looks kept beside an intent."""
        return cls(intent, intent.absent())

    def is_lost(self, key: str) -> bool:
        """Return whether a look before found the task lost."""
        return self.first.get(key) == "lost"

    def apart(self, key: str, now: float) -> bool:
        """Return whether an earlier look was long enough ago; a first one is remembered."""
        began = self.first.get(key)
        if not isinstance(began, int | float) or began > now:
            self.first[key] = now
            self.fresh = True
            return False
        return now - began >= APART_S

    def lost(self, key: str) -> None:
        """Remember that a task is lost: a source that falls silent later changes nothing."""
        self.first[key] = "lost"
        self.fresh = True

    def keep(self) -> None:
        """Write the looks down, as far as the results folder can be written."""
        if self.fresh:
            with contextlib.suppress(OSError):
                write_json(self.intent.absent_file, self.first)
