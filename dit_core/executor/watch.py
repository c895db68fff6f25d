"""What the caller of a run gives to it, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dit_core.training.distributed import Group


@dataclass(frozen=True, slots=True)
class Watch:
    """The caller's callbacks, its request to stop, and the processes that share the training."""

    should_stop: Callable[[], str | None] = lambda: None
    on_progress: Callable[[int, float], None] = lambda images, images_per_s: None
    on_evaluation: Callable[[str], None] = lambda eval_id: None
    group: Group = field(default_factory=Group)
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run, or a set of evaluations, ended; why; and how many evaluations it made.

    `how` is "done", "diverged", "failed", "stopped" (it left early and can be resumed), "owned"
    (another living process has it) or "superseded" (another took it over from this one).
    """

    how: str
    reason: str | None = None
    evaluated: int = 0
