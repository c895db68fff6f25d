"""What happened to a run, attempt by attempt, and where its logs are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit_core.records.paths import Store
from dit_core.records.run_state import whole_run
from dit_core.study.science.run import Run
from slurm.orders.intent import Intent
from slurm.standing.book import Book
from slurm.standing.gather import read_attempts_safely
from slurm.standing.progress import read_wish
from slurm.standing.standing import Facts, stand, stand_eval


@dataclass(frozen=True, slots=True)
class LogFile:
    """A task's log and what the task was for."""

    path: Path
    task: str
    trains: bool


def story(store: Store, run: Run, facts: Facts, book: Book) -> dict[str, Any]:
    """Return the history of one run as plain values: state, attempts, tasks, evaluations, logs."""
    training = stand(facts)
    made = sum(facts.evals[p.eval_id].done for p in run.evaluations if p.eval_id in facts.evals)
    attempts = read_attempts_safely(store.run(run.run_id))
    wish = read_wish(store.run(run.run_id))
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": whole_run(training.word, made, len(run.evaluations)),
        "why": training.why,
        "task": training.task,
        "images": run.science.train.images,
        "images_seen": facts.images_seen,
        "attempts": [
            _attempt(a, attempts[k + 1] if k + 1 < len(attempts) else None)
            for k, a in enumerate(attempts)
        ],
        "wish": {"wish": wish.word, "after_attempt": wish.attempt} if wish else None,
        "tasks": [{"task": t.key, "slurm": t.word, "reason": t.reason} for t in facts.tasks],
        "evaluations": [_evaluation(run, key, facts, training) for key in facts.evals],
        "logs": [str(log.path) for log in log_files(run, book)],
    }


def story_lines(history: dict[str, Any]) -> list[str]:
    """Return a story as lines for people."""
    lines = [
        f"{history['name'] or '(base)'}  {history['run_id']}",
        f"{history['state']}: {history['why']}",
    ]
    for a in history["attempts"]:
        lines.append(
            f"  attempt {a['attempt']}"
            + (f", job {a['job']}" if a["job"] else "")
            + (f", on {a['host']}" if a["host"] else "")
            + f": {a['words']}"
        )
        lines += [f"    {event}" for event in a["events"]]
    if not history["attempts"]:
        lines.append("  no attempt has begun")
    if history["wish"]:
        lines.append(
            f"  `ditlab {history['wish']['wish']}` was given after attempt "
            f"{history['wish']['after_attempt']}"
        )
    for task in history["tasks"]:
        reason = f" ({task['reason']})" if task["reason"] not in ("", "None") else ""
        lines.append(f"  Slurm: task {task['task']} {task['slurm']}{reason}")
    for e in history["evaluations"]:
        lines.append(
            f"  evaluation {e['eval_id']} after {e['images_seen']} images: {e['state']}, {e['why']}"
        )
    lines += [f"  log {path}" for path in history["logs"]]
    return [_printable(line) for line in lines]


def _printable(line: str) -> str:
    """Return a line without the control characters that a record's words may smuggle in."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def log_files(run: Run, book: Book) -> list[LogFile]:
    """Return the logs of every task that worked on a run, oldest first, one per process."""
    evals = {planned.eval_id for planned in run.evaluations}
    found = []
    for uuid, intent in sorted(book.intents.items(), key=lambda pair: _age(pair[1])):
        job = intent.job()
        payload = book.payloads[uuid]
        if job is None:
            continue
        for index, items in zip(payload.indices, payload.tasks, strict=True):
            mine = [i for i in items if i.run == run.run_id]
            if any(i.train or evals & set(i.evals) for i in mine):
                paths = sorted(intent.logs.glob(f"{job}_{index}_*_log.out"))
                found += [
                    LogFile(path, f"{job}_{index}", any(i.train for i in mine)) for path in paths
                ]
    return found


def _age(intent: Intent) -> float:
    try:
        return intent.payload.stat().st_mtime
    except OSError:
        return 0.0


def _attempt(a: dict[str, Any], following: dict[str, Any] | None) -> dict[str, Any]:
    start = a.get("images_start")
    end = a.get("images_end")
    how = a.get("end")
    if how is None:
        reached = (following or {}).get("images_start")
        words = (
            "was killed before it could say how it ended"
            if following
            else "is at work, or was killed"
        )
        if following and reached is not None and start is not None:
            words += f"; from image {start}, saved up to {reached}"
    else:
        words = {
            "done": "finished",
            "stopped": "saved and left",
            "failed": "failed",
            "diverged": "diverged",
        }.get(how, how)
        words += f" at image {end}, begun at {start}" if start is not None else ""
        words += f": {a['reason']}" if a.get("reason") else ""
    return {
        "attempt": a["attempt"],
        "job": a.get("job"),
        "host": (a.get("provenance") or {}).get("host"),
        "started_at": a.get("started_at"),
        "seconds": a.get("seconds"),
        "images_start": start,
        "images_end": end,
        "end": how,
        "words": words,
        "events": a.get("events") or [],
    }


def _evaluation(run: Run, key: str, facts: Facts, training: Any) -> dict[str, Any]:
    planned = next(p for p in run.evaluations if p.eval_id == key)
    standing = stand_eval(facts, facts.evals[key], training)
    return {
        "eval_id": key,
        "images_seen": planned.evaluation.images_seen,
        "state": standing.word,
        "why": standing.why,
        "task": standing.task,
    }
