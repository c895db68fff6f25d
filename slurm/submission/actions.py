"""What a person decides about runs: cancel them, or have them tried again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dit_core.errors import EnvironmentProblem
from dit_core.records.paths import Store
from dit_core.study.science.run import Run
from slurm.scheduler.commands import ask
from slurm.scheduler.queue import Task
from slurm.standing.gather import View
from slurm.standing.progress import make_wish
from slurm.standing.standing import Facts, stand, stand_eval

_RETRIED = ("failed", "cancelled")


def cancel_runs(store: Store, runs: Iterable[Run], view: View) -> dict[str, Any]:
    """Cancel the live tasks of runs and remember the wish; return runs, tasks and what was kept.

    The wish is written before scancel: a kill in between leaves a run that is not submitted again,
    never one that comes back. A task that also works on runs not meant is left alone.
    """
    runs = list(runs)
    meant = {run.run_id for run in runs}
    tasks: dict[str, None] = {}
    cancelled = []
    kept = []
    for run in runs:
        facts = view.facts[run.run_id]
        if not _open(run, facts):
            continue
        make_wish(store.run(run.run_id), "cancel", tuple(t.key for t in _all_tasks(facts)))
        cancelled.append(run.run_id)
        for task in _all_tasks(facts):
            if task.phase not in ("waiting", "running"):
                continue
            others = _others(task, meant, view)
            if others:
                kept.append(
                    f"task {task.key} also works on {', '.join(sorted(others))}: left alone"
                )
            else:
                tasks[task.key] = None
    for chunk in _chunks(list(tasks), 100):
        answer = ask("scancel", *chunk)
        if not answer.ok:
            raise EnvironmentProblem(f"scancel: {answer.trouble}; the same command tries again")
    return {"runs": cancelled, "tasks": list(tasks), "kept": kept}


def release_held(view: View) -> list[str]:
    """Let go the tasks that Slurm put on hold after a failed launch; return a line on each.

    A task that a person holds has another reason and is left alone.
    """
    said = []
    for key in sorted(
        {t.key for facts in view.facts.values() for t in _all_tasks(facts) if t.held_after_launch}
    ):
        answer = ask("scontrol", "release", key)
        said.append(
            f"task {key} was on hold after a failed launch: "
            f"{'released' if answer.ok else answer.trouble}"
        )
    return said


def retry_runs(store: Store, runs: Iterable[Run], view: View) -> list[str]:
    """Remember a retry for each run with a failed or cancelled training or evaluation.

    And for one whose end nobody can tell, as long as the scheduler answers.
    """
    meant = []
    for run in runs:
        facts = view.facts[run.run_id]
        training = stand(facts)
        words = {
            training.word,
            *(stand_eval(facts, e, training).word for e in facts.evals.values()),
        }
        if words & set(_RETRIED) or ("unknown" in words and facts.queue_ok):
            make_wish(store.run(run.run_id), "retry", tuple(t.key for t in _all_tasks(facts)))
            meant.append(run.run_id)
    return meant


def _open(run: Run, facts: Facts) -> bool:
    training = stand(facts)
    if training.word == "diverged":
        return False
    return training.word != "done" or any(not e.done for e in facts.evals.values())


def _all_tasks(facts: Facts) -> list[Task]:
    tasks = [*facts.tasks, *(t for e in facts.evals.values() for t in e.tasks)]
    return list({t.key: t for t in tasks}.values())


def _others(task: Task, meant: set[str], view: View) -> set[str]:
    index = task.key.partition("_")[2]
    for uuid, payload in view.book.payloads.items():
        if task.name.endswith(uuid) and int(index or 0) in payload.indices:
            return {item.run for item in payload.task(int(index or 0))} - meant
    return set()


def _chunks(words: list[str], size: int) -> list[list[str]]:
    return [words[i : i + size] for i in range(0, len(words), size)]
