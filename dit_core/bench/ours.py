"""Our side of a benchmark: the real training loop, paused between blocks; our samplers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from dit_core.bench.subject import Subject, data_of
from dit_core.diffusion.objective import make_objective
from dit_core.diffusion.samplers import sample
from dit_core.model.conditions import Conditions
from dit_core.records.attempt import start_attempt
from dit_core.records.paths import RunPaths
from dit_core.study.science.sampling import Sampling
from dit_core.training import train as loop
from dit_core.training.draws import step_draws

PHASES = ("data", "forward", "backward", "reduce", "check", "optimiser", "ema", "log", "save")


class _Enough(BaseException):
    """Ends the loop from within."""


class Meter(Protocol):
    """What counts the steps."""

    phases: dict[str, float]
    wanted: bool

    def at_step(self) -> bool:
        """Take note of a step; return whether there are more to make."""


def training(subject: Subject, meter: Meter) -> None:
    """Train until the meter has had enough.

    The loop is `dit_core.training.train.train` with its rows and checkpoints. Where phases are
    `wanted`, the seconds of each part of a step are added up; on a GPU this waits for the device at
    each, which the plain measurement does not.
    """
    science = subject.science
    device = torch.device(subject.device)
    last = [time.perf_counter()]

    def mark(part: str) -> None:
        if meter.wanted:
            if device.type == "cuda":
                torch.cuda.synchronize()
            now = time.perf_counter()
            meter.phases[part] = meter.phases.get(part, 0.0) + now - last[0]
            last[0] = now
        if part == "save":
            if not meter.at_step():
                raise _Enough
            last[0] = time.perf_counter()

    with tempfile.TemporaryDirectory(prefix="ditlab-bench-") as folder:
        paths = RunPaths(Path(folder))
        around = loop.Surroundings(
            paths=paths,
            attempt=start_attempt(paths, device=subject.device),
            execution=subject.execution,
            device=device,
            snapshots=frozenset(),
            mark=mark,
        )
        try:
            loop.train(science, data_of(science), around)
        except _Enough:
            around.attempt.metrics.close()


def gradients(subject: Subject) -> Callable[[], None]:
    """Return the forward and backward pass of one step."""
    science = subject.science
    device = torch.device(subject.device)
    state, forward = loop.build_state(science, subject.execution, device)
    objective = make_objective(science.objective)
    generator = torch.Generator(device)
    autocast = loop.autocast_of(subject.precision, device)
    data = data_of(science)
    batch = subject.batch
    shape = (science.data.channels, science.data.height, science.data.width)
    x = data._x[:batch].to(device)
    y = data._y[:batch].to(device)

    def step() -> None:
        drawn = step_draws(generator, 0, 0, batch, shape)
        state.reduced.zero_()
        with autocast():
            loss = objective.loss(forward, x, drawn.u, drawn.noise, y)["loss"].mean()
        loss.backward()

    return step


def sampling(subject: Subject, steps: int, guidance: float) -> Callable[[], None]:
    """Return the making of one batch of guided DDIM samples."""
    science = subject.science
    device = torch.device(subject.device)
    state, forward = loop.build_state(science, subject.execution, device)
    model = state.model.eval()
    settings = Sampling(sampler="ddim", steps=steps, guidance=guidance)
    data = science.data
    batch = subject.batch
    labels = torch.arange(batch, device=device) % data.classes
    autocast = loop.autocast_of(subject.precision, device)

    def network(x: Tensor, t: Tensor, y: Tensor | Conditions) -> Tensor:
        with autocast():
            return forward(x, t, y)

    network.null_class = model.null_class  # type: ignore[attr-defined]

    def make() -> None:
        def noise(k: int) -> Tensor:
            return torch.randn(batch, data.channels, data.height, data.width, device=device)

        sample(network, science.objective, settings, labels, noise)

    return make
