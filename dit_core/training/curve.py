"""The training curve: means over windows of images, the same whether or not a run was resumed."""

from __future__ import annotations

import resource
import time
from collections import deque

import torch

from dit_core.records.attempt import Attempt
from dit_core.study.price import cost
from dit_core.study.science.science import Ddpm, Science
from dit_core.training.board import Board
from dit_core.training.state import WINDOW_TERMS, TrainState

_ROWS_PER_RUN = 200
_SPIKE_STEPS = 128
_SPIKE_SIGMAS = 6.0


class Curve:
    """Write one row per window to the attempt's metrics and event file; note loss spikes as events.

    `ceiling` is the FLOP/s of matrix products on this device; where it is given, rows hold the
    model FLOP utilisation "mfu". "memory_bytes" is the peak so far, of the GPU or of this process.
    """

    def __init__(
        self,
        attempt: Attempt,
        science: Science,
        log_every_images: int | None,
        ceiling: float | None = None,
    ) -> None:
        self._train = science.train
        every = log_every_images or max(self._train.images // _ROWS_PER_RUN, self._train.batch)
        self._every = max(every // self._train.batch, 1) * self._train.batch
        self._attempt = attempt
        self._fwd_macs = cost.fwd_macs(science)
        self._ceiling = ceiling
        self._board = Board(attempt.paths.attempt(attempt.number)) if attempt.number else None
        has_vb = isinstance(science.objective, Ddpm) and science.objective.learn_sigma
        self._absent = () if has_vb else ("vb",)  # a term the objective lacks is missing, not zero
        self._spikes = _Spikes()
        self._since = time.perf_counter()
        self._images_since = 0
        self.images_per_s = 0.0

    def step(self, state: TrainState, seen: dict[str, float]) -> bool:
        """Take one step's numbers; return whether a row was written."""
        usual = self._spikes.usual(seen["loss"])
        if usual is not None:
            text = (
                f"loss spike at image {state.images_seen}: {seen['loss']:.4g}, "
                f"usual here is {usual:.4g}"
            )
            self._attempt.note(events=[*self._attempt.record["events"], text])
        state.window += state.window.new_tensor([*(seen[name] for name in WINDOW_TERMS), 1.0])
        self._images_since += self._train.batch
        if state.images_seen % self._every and state.images_seen != self._train.images:
            return False
        self._write(state)
        state.window.zero_()
        return True

    def diverged(self, state: TrainState, seen: dict[str, float]) -> None:
        """Write the row of the step that was not taken, non-finite numbers included."""
        self._attempt.metrics.write(
            self._place(state) | {name: seen[name] for name in WINDOW_TERMS}
        )
        self._attempt.metrics.flush()

    def _write(self, state: TrainState) -> None:
        now = time.perf_counter()
        self.images_per_s = self._images_since / max(now - self._since, 1e-9)
        *sums, steps = state.window.tolist()
        row: dict[str, float | int | None] = dict(self._place(state))
        row |= {name: total / steps for name, total in zip(WINDOW_TERMS, sums, strict=True)}
        row |= dict.fromkeys(self._absent)
        row["images_per_s"] = round(self.images_per_s, 2)
        flops_per_s = cost.train_flops_of(self._fwd_macs, self.images_per_s)
        row["train_flops_per_s"] = round(flops_per_s)
        if self._ceiling is not None:
            row["mfu"] = round(flops_per_s / self._ceiling, 4)
        row["memory_bytes"] = _peak_bytes(state)
        self._attempt.metrics.write(row)
        if self._board is not None:
            self._board.write(row)
        self._since = now
        self._images_since = 0

    def _place(self, state: TrainState) -> dict[str, int]:
        return {"images": state.images_seen, "step": state.images_seen // self._train.batch}


def _peak_bytes(state: TrainState) -> int:
    if state.weights.is_cuda:
        return torch.cuda.max_memory_allocated(state.weights.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes on Linux


class _Spikes:
    """Mean and deviation of the last losses, kept as running sums: this runs at every step."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._sum = self._squares = 0.0

    def usual(self, loss: float) -> float | None:
        """Take a loss; return the recent mean if it is a spike, over six deviations above."""
        count = len(self._recent)
        mean = None
        spike = False
        if count == _SPIKE_STEPS:
            mean = self._sum / count
            sigma = max(self._squares / count - mean * mean, 0.0) ** 0.5
            spike = loss > mean + _SPIKE_SIGMAS * sigma
            old = self._recent.popleft()
            self._sum = self._sum - old
            self._squares = self._squares - old * old
        self._recent.append(loss)
        self._sum = self._sum + loss
        self._squares = self._squares + loss * loss
        return mean if spike else None
