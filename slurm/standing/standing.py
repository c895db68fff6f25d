"""The state of a training and of each evaluation, from facts gathered before: a pure function.

Durable records come first, the lease second, the queue third, accounting last. What cannot be known
stays "unknown"; nothing is ever called done or failed because something is absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slurm.scheduler.queue import Task
from slurm.standing.progress import IDLE_LIMIT, Wish

LIVE = ("running", "waiting")

# How the scheduler's last word on an ended task is taken where no record of ours says more.
_AGAIN = {
    "completed": "its task ended before the work did",
    "time limit": "reached the time limit",
    "preempted": "was preempted",
    "node failure": "lost its node",
    "dependency": "its training did not end well",
    "failed": "its task broke off or was killed",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one run.

    `tasks` are those that train it, `eval_tasks` those of each evaluation.

    `outcome` is (word, reason, attempt); `owner` names the live lease's process; `submitted`
    says whether an accepted intent names the run; `queue_ok` whether the scheduler answered.
    """

    outcome: tuple[str, str | None, int] | None = None
    torn: str | None = None
    owner: str | None = None
    started: bool = False
    idle: int = 0
    wish: Wish | None = None
    tasks: tuple[Task, ...] = ()
    submitted: bool = False
    queue_ok: bool = True
    images_seen: int | None = None
    evals: dict[str, EvalFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvalFacts:
    """What is known about one evaluation: a record, its weights, a written error, its tasks."""

    done: bool = False
    weights: bool = False
    error: str | None = None
    owner: str | None = None
    tasks: tuple[Task, ...] = ()
    submitted: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A word of `dit_core.records.run_state.STATES`, the reason, and the task that shows it."""

    word: str
    why: str
    task: str | None = None


def stand(facts: Facts) -> Standing:
    """Return how the training of a run stands."""
    if facts.torn is not None:
        return Standing("torn", facts.torn)
    word, reason, attempt = facts.outcome or (None, None, 0)
    if word == "DONE":
        return Standing("done", "trained")
    if word == "DIVERGED":
        return Standing("diverged", reason or "not finite")
    live = _live(facts.tasks)
    if facts.owner is not None:
        return Standing("running", facts.owner, live.key if live else None)
    if live is not None:
        return Standing(live.phase, _live_reason(live), live.key)
    if facts.wish is not None and facts.wish.word == "cancel":
        return Standing("cancelled", "cancelled with `ditlab cancel`; `ditlab retry` resumes it")
    retried = (
        facts.wish is not None and facts.wish.word == "retry" and facts.wish.attempt >= attempt
    )
    if word == "FAILED" and not retried:
        return Standing("failed", reason or "no reason was written")
    return _not_live(facts, _meant(facts.tasks, facts.wish))


def stand_eval(facts: Facts, evaluation: EvalFacts, training: Standing) -> Standing:
    """Return how one evaluation of a run stands, given how its training stands."""
    if evaluation.done:
        return Standing("done", "measured")
    live = _live(evaluation.tasks)
    if evaluation.owner is not None:
        return Standing("running", evaluation.owner, live.key if live else None)
    if live is not None:
        return Standing(live.phase, _live_reason(live), live.key)
    retried = facts.wish is not None and facts.wish.word == "retry"
    if training.word == "diverged":
        return Standing("diverged", "the training diverged: nothing to measure")
    if facts.wish is not None and facts.wish.word == "cancel":
        return Standing("cancelled", "cancelled with `ditlab cancel`; `ditlab retry` resumes it")
    if evaluation.error is not None and not retried:
        return Standing("failed", evaluation.error)
    inner = Facts(
        tasks=evaluation.tasks,
        submitted=evaluation.submitted,
        queue_ok=facts.queue_ok,
        wish=facts.wish,
    )
    return _not_live(inner, _meant(evaluation.tasks, facts.wish))


def _not_live(facts: Facts, ended: tuple[Task, ...]) -> Standing:
    """Return how a run without record, owner or live task stands."""
    odd = next((t for t in _undismissed(facts.tasks, facts.wish) if t.phase == "unknown"), None)
    if odd is not None:
        strange = f"Slurm says {odd.word!r}, a word this version does not know"
        return Standing("unknown", odd.doubt or strange, odd.key)
    if not facts.queue_ok and facts.submitted:
        return Standing("unknown", "the scheduler does not answer")
    last = ended[-1] if ended else None
    if last is not None and last.kind == "cancelled":
        return Standing("cancelled", "cancelled in Slurm; `ditlab retry` resumes it", last.key)
    if last is not None and last.kind == "out of memory":
        why = (
            "out of memory: raise the profile's memory_gb or lower execution.micro_batch, then "
            "`ditlab retry`"
        )
        return Standing("failed", why, last.key)
    if facts.idle >= IDLE_LIMIT:
        why = f"{facts.idle} attempts in a row ended without progress; `ditlab retry` tries again"
        return Standing("failed", why, last.key if last else None)
    broken = sum(t.kind == "failed" for t in ended)
    if last is not None and not facts.started and broken >= IDLE_LIMIT:
        why = f"{broken} tasks ended before they wrote a record; `ditlab logs` shows the last lines"
        return Standing("failed", why, last.key)
    if last is not None:
        return Standing("stopped", _AGAIN.get(last.kind or "", "its task ended"), last.key)
    if facts.submitted and not _dismissed(facts):
        return Standing(
            "lost", "submitted, but Slurm no longer knows its task and no outcome was written"
        )
    if facts.started:
        return Standing("stopped", "began earlier and is not running now")
    return Standing("new", "not submitted yet")


def _meant(tasks: tuple[Task, ...], wish: Wish | None) -> tuple[Task, ...]:
    """Return the ended tasks that still count: a later retry dismisses those before it."""
    return tuple(t for t in _undismissed(tasks, wish) if t.phase == "ended")


def _undismissed(tasks: tuple[Task, ...], wish: Wish | None) -> tuple[Task, ...]:
    gone = wish.tasks if wish is not None and wish.word == "retry" else ()
    return tuple(t for t in tasks if t.key not in gone)


def _dismissed(facts: Facts) -> bool:
    return facts.wish is not None and facts.wish.word == "retry"


def _live(tasks: tuple[Task, ...]) -> Task | None:
    running = [t for t in tasks if t.phase == "running"]
    waiting = [t for t in tasks if t.phase == "waiting"]
    return next(iter(running + waiting), None)


def _live_reason(task: Task) -> str:
    if task.phase == "running":
        return f"job {task.key} on {task.node}" if task.node else f"job {task.key}"
    reason = task.reason if task.reason not in ("", "None") else "in the queue"
    return f"job {task.key}: {reason}"
