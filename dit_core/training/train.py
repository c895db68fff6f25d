"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dit_core.data.ahead import Ahead
from dit_core.data.load import Dataset
from dit_core.data.memory import ArrayDataset
from dit_core.data.order import batch_indices
from dit_core.data.sets.conditioned import ConditionedDataset
from dit_core.diffusion.objective import make_objective
from dit_core.model.build import build_model
from dit_core.model.conditions import dropped, take, to_device
from dit_core.records.attempt import Attempt
from dit_core.records.disk.bundle import sweep_temporaries
from dit_core.records.paths import RunPaths
from dit_core.study.price import cost
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science
from dit_core.training.ceiling import matrix_ceiling
from dit_core.training.checkpoint import load_newest, require_space, save_checkpoint, save_snapshot
from dit_core.training.compiling import compiled
from dit_core.training.curve import Curve
from dit_core.training.distributed import Group
from dit_core.training.draws import Draws, init_seed, step_draws
from dit_core.training.schedule import learning_rate
from dit_core.training.state import TrainState

# Measuring the ceiling takes a second: nothing beside a training of this many FLOPs.
_CEILING_PAYS_FLOPS = 1e15


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt at training ended, after how many images, and why."""

    how: str  # "done", "diverged" or "stopped"
    images_seen: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a training is given besides its science: none of it changes the numbers.

    `snapshots` are the points (images seen) whose EMA weights are kept. `should_stop` returns a
    reason, or None to continue. `mark` is called with the name of each part of a step as it ends
    (data, forward, backward, reduce, check, optimiser, ema, log, save): `ditlab bench` times them.
    """

    paths: RunPaths
    attempt: Attempt
    execution: Execution
    device: torch.device
    snapshots: frozenset[int]
    group: Group = field(default_factory=Group)
    should_stop: Callable[[], str | None] = lambda: None
    on_progress: Callable[[int, float], None] = lambda images, images_per_s: None
    mark: Callable[[str], None] = lambda part: None


@contextlib.contextmanager
def _tf32() -> Iterator[None]:
    """Let GPUs multiply float32 matrices with TF32, as the released code trains its models.

    Evaluations have their own setting, so the former one comes back at the end.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@_tf32()
def train(science: Science, data: Dataset, around: Surroundings) -> Ending:
    """Train from the newest valid checkpoint until the end, a stop or a divergence.

    Paper section 4: AdamW, constant rate, EMA of the weights, labels dropped for guidance. Every
    draw is a function of the position, so a resumed run gives the same numbers as one that was
    never stopped. Raises StorageFull where the disk fills up; the last checkpoint stays valid.
    """
    recipe = science.train
    execution = around.execution
    paths = around.paths
    group = around.group
    mark = around.mark
    share = group.share(recipe.batch)
    state, forward = build_state(science, execution, around.device)
    leads = group.rank == 0
    _resume(state, data, around)

    micro = min(execution.micro_batch or recipe.batch, share.stop - share.start)
    objective = make_objective(science.objective)
    others = (recipe.vector_dropout, recipe.context_dropout, recipe.map_dropout)
    shape = (science.data.channels, science.data.height, science.data.width)
    generator = torch.Generator(around.device)
    autocast = autocast_of(recipe.precision, around.device)
    curve = Curve(around.attempt, science, execution.log_every_images, _ceiling(science, around))
    # Data in memory is indexed faster than a thread could prefetch it.
    in_memory = isinstance(data, ArrayDataset | ConditionedDataset)
    pin = around.device.type == "cuda"
    loader = data if in_memory else Ahead(data, recipe.batch, pin=pin)
    saved = time.monotonic()

    while state.images_seen < recipe.images:
        # draw the batch
        stream = np.arange(state.images_seen + share.start, state.images_seen + share.stop)
        indices = batch_indices(recipe.seed, state.images_seen, recipe.batch, len(data))[share]
        x, y = loader.batch(indices, stream, recipe.seed)
        step = state.images_seen // recipe.batch
        drawn = step_draws(generator, recipe.seed, step, recipe.batch, shape)
        drawn = Draws(*(part[share] for part in drawn))
        x = x.to(around.device, non_blocking=True)
        y = to_device(y, around.device)
        y = dropped(y, drawn.drop, science.data.classes, recipe.label_dropout, others)
        mark("data")

        # gradients, summed over micro-batches and processes
        state.reduced.zero_()
        for at in range(0, len(x), micro):
            part = slice(at, at + micro)
            u = drawn.u[part]
            noise = drawn.noise[part]
            with autocast():
                terms = objective.loss(forward, x[part], u, noise, take(y, part))
            loss = terms["loss"].sum() / recipe.batch
            mark("forward")
            loss.backward()
            state.add_terms(terms, recipe.batch)
            mark("backward")
        state.ask_stop(around.should_stop() is not None)
        group.sum(state.reduced)
        mark("reduce")

        # check: a non-finite loss or gradient on any process has reached all of them by now; stop
        # before it touches the weights
        norm = torch.linalg.vector_norm(state.gradients)
        seen = state.read(norm)
        if not (math.isfinite(seen["loss"]) and math.isfinite(seen["grad_norm"])):
            reason = (
                f"loss {seen['loss']}, gradient norm {seen['grad_norm']} "
                f"at image {state.images_seen}"
            )
            curve.diverged(state, seen)
            return Ending("diverged", state.images_seen, reason)
        if recipe.clip is not None and seen["grad_norm"] > recipe.clip:
            state.gradients.mul_(recipe.clip / seen["grad_norm"])
        mark("check")

        # step
        state.optimizer.param_groups[0]["lr"] = learning_rate(recipe, state.images_seen)
        state.optimizer.step()
        mark("optimiser")
        state.ema.lerp_(state.weights, 1.0 - recipe.ema)
        state.images_seen += recipe.batch
        mark("ema")

        # log, keep, save
        if curve.step(state, seen):
            around.on_progress(state.images_seen, curve.images_per_s)
        mark("log")
        if leads and state.images_seen in around.snapshots:
            save_snapshot(paths, state.images_seen, state.named(state.ema))
        stopped = seen["stop"] > 0
        if leads and (stopped or _save_is_due(execution, recipe.batch, state.images_seen, saved)):
            around.attempt.metrics.sync()  # a resumed run does not repeat these rows
            save_checkpoint(paths, state, execution.keep_checkpoints)
            saved = time.monotonic()
        mark("save")
        if stopped and state.images_seen < recipe.images:
            why = around.should_stop() or "another process was told to stop"
            return Ending("stopped", state.images_seen, why)
    return Ending("done", state.images_seen)


def _resume(state: TrainState, data: Dataset, around: Surroundings) -> None:
    """Fill the state from the newest valid checkpoint, which rank 0 reads and the others copy."""
    if around.group.rank == 0:
        require_space(around.paths, state, around.execution.keep_checkpoints, len(around.snapshots))
        sweep_temporaries(around.paths.checkpoints)
        sweep_temporaries(around.paths.snapshots)
        troubles = load_newest(around.paths, state)
        facts: dict[str, Any] = {
            "tf32": around.device.type == "cuda",
            "processes": around.group.world,
        }
        if isinstance(data, ConditionedDataset) and data.standard is not None:
            mean, std = data.standard  # a condition v is v * std + mean in its own unit
            facts |= {"vector_mean": mean.tolist(), "vector_std": std.tolist()}
        events = around.attempt.record["events"] + troubles
        around.attempt.note(images_start=state.images_seen, events=events, **facts)
    position = torch.tensor(float(state.images_seen), dtype=torch.float64, device=around.device)
    group = around.group
    group.copy(
        (state.weights, state.ema, state.exp_avg, state.exp_avg_sq, state.optimizer_steps, position)
    )
    state.images_seen = int(position)


def _ceiling(science: Science, around: Surroundings) -> float | None:
    """Return the FLOP/s of matrix products here, or None for a training too short to measure it."""
    if around.group.rank != 0 or cost.train_flops(science) < _CEILING_PAYS_FLOPS:
        return None
    ceiling = matrix_ceiling(around.device, science.train.precision)
    around.attempt.note(ceiling_flops_per_s=ceiling)
    return ceiling


def build_state(
    science: Science, execution: Execution, device: torch.device
) -> tuple[TrainState, Callable[..., Tensor]]:
    """Return the state at image 0 and the network to call (compiled where that pays)."""
    if device.type == "cpu":
        # Denormal moments would make AdamW several times slower late in a run.
        torch.set_flush_denormal(True)
    torch.manual_seed(init_seed(science.train.seed))
    model = build_model(science, grad_checkpoint=execution.grad_checkpoint).to(device)
    model.train()
    state = TrainState(model, science.train)
    return state, compiled(model, science, execution, device)


def autocast_of(
    precision: str, device: torch.device
) -> Callable[[], torch.autocast | nullcontext[None]]:
    """Return what opens the autocast region of a forward pass: bf16, or nothing for float32."""
    if precision == "bf16":
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext


def _save_is_due(execution: Execution, batch: int, images_seen: int, saved: float) -> bool:
    every = execution.save_every_images
    crossed = every is not None and images_seen // every != (images_seen - batch) // every
    return crossed or time.monotonic() - saved > execution.save_every_s
