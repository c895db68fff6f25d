"""What is known about the runs of a study, from records, leases, one squeue and sacct."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk import lease
from dit_core.records.disk.bundle import MANIFEST
from dit_core.records.disk.clock import server_now
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science.run import Run
from slurm.scheduler.queue import Task
from slurm.standing.book import Book, make_book
from slurm.standing.progress import idle_attempts, newest_checkpoint, read_wish
from slurm.standing.standing import EvalFacts, Facts

# A lease whose file has not been touched for this long belongs to nobody who could be asked. By the
# clock of the file system on both sides; only a display depends on it: a task that starts finds out
# by watching the heartbeat.
QUIET_S = 6 * lease.BEAT_S


@dataclass(frozen=True, slots=True)
class View:
    """The facts of every run of a study and the book they come from."""

    facts: dict[str, Facts]
    book: Book


def look(store: Store, study: str, runs: Iterable[Run], *, ask_scheduler: bool = True) -> View:
    """Return what is known about `runs`.

    One squeue call; others are asked only about accepted tasks that squeue does not list.
    """
    book = make_book(store, study, ask_scheduler=ask_scheduler)
    book.now = server_now(store.root)
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
        owner=living_owner(paths.lease, book.now),
        started=bool(attempts),
        idle=idle_attempts(attempts, newest, after) if attempts else 0,
        wish=wish,
        images_seen=outcome.images_seen if outcome and settled else newest or None,
        evals=evals,
        **common,
    )


def living_owner(path: Path, now: float | None = None) -> str | None:
    """Return who holds a lease; None where nobody does or its heartbeat has long been silent.

    `now` is the file server's time: that of the heartbeat is, whatever the hosts' clocks say.
    """
    owner = lease.holder(path)
    if owner is None:
        return None
    try:
        quiet = (server_now(path.parent) if now is None else now) - path.stat().st_mtime
    except OSError:
        return None
    if not lease.is_here(owner) and quiet > QUIET_S:
        return None
    job = f"job {owner['job']}" if owner.get("job") else f"process {owner['pid']}"
    return f"{job} on {owner['host']}"


def read_attempts_safely(paths: RunPaths) -> list[dict[str, Any]]:
    """Return the attempts of a run; where one record is torn, those before it."""
    try:
        return read_attempts(paths)
    except RecordError:
        return []


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
            owner=living_owner(paths.eval_lease(key), book.now)
            if f"{key}.json" in leases
            else None,
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
