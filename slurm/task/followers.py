"""Evaluation tasks that wait for a training: let them start as soon as their weights are there.

An evaluation array depends on its training array (aftercorr), which is right for the end of the
training. For an earlier point that would waste hours; the training task then takes the dependency
away. Where that fails, nothing is lost: the evaluation starts when the training has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from dit_core.errors import DitlabError
from dit_core.records.disk.bundle import MANIFEST
from dit_core.records.paths import Store
from dit_core.study.science.run import Run
from slurm.orders.intent import Intent
from slurm.orders.payload import read_payload, read_runs
from slurm.scheduler.commands import ask


@dataclass
class Followers:
    """The evaluation tasks that wait for the training task with this array index."""

    store: Store
    waiting: list[Intent]
    index: int
    say: Callable[[str], None]
    _points: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Release, beside the training, every follower whose weights are all there."""
        if self.waiting and self._busy.acquire(blocking=False):
            threading.Thread(target=self._look, daemon=True, name="followers").start()

    def _look(self) -> None:
        try:
            for intent in list(self.waiting):
                if not intent.payload.exists():
                    continue  # the submitter is still on its way to it, or died before
                if all(
                    (self.store.run(r).snapshot(p) / MANIFEST).exists()
                    for r, p in self._needs(intent)
                ):
                    if (job := intent.job()) is None:
                        continue  # its sbatch has not been answered yet
                    task = f"{job}_{self.index}"
                    if ask("scontrol", "update", f"JobId={task}", "Dependency=").ok:
                        self.say(f"weights are there: evaluation task {task} may start")
                    self.waiting.remove(intent)
        except (OSError, DitlabError) as error:
            self.say(f"evaluations wait for the end of the training: {error}")
            self.waiting.clear()
        finally:
            self._busy.release()

    def _needs(self, intent: Intent) -> tuple[tuple[str, int], ...]:
        """Return (run, images seen) of every snapshot the follower's task measures."""
        if intent.uuid not in self._points:
            items = read_payload(intent.payload).task(self.index)
            runs: dict[str, Run] = read_runs(intent.runs, {item.run for item in items})
            self._points[intent.uuid] = tuple(
                (item.run, planned.evaluation.images_seen)
                for item in items
                for planned in runs[item.run].evaluations
                if planned.eval_id in item.evals
            )
        return self._points[intent.uuid]
