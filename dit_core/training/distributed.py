"""The processes of one training: each takes its share of every batch; one all-reduce joins them.

Two channels: sums of gradients travel over NCCL (GPUs) or gloo (CPUs); orders from rank 0 always
over gloo, where the others may wait for days.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dit_core.errors import UserError

# Between two trainings rank 0 may wait for a lease, or make evaluations alone.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Group:
    """This process among those of the run. Rank 0 alone writes files."""

    rank: int = 0
    world: int = 1
    orders: Any = None

    def share(self, batch: int) -> slice:
        """Return this process's part of a batch; raise UserError where it does not divide."""
        if batch % self.world:
            fits = [w for w in range(1, batch + 1) if batch % w == 0][:12]
            raise UserError(
                f"train.batch {batch} does not divide over {self.world} processes; these do: {fits}"
            )
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def sum(self, tensor: Tensor) -> None:
        """Add up `tensor` over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite `tensors` with those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def announce(self, training: bool = False) -> bool:
        """Return on every process what rank 0 passes: whether another training follows.

        Raises RuntimeError where rank 0 has gone.
        """
        if self.world > 1:
            word = torch.tensor([int(training)])
            dist.broadcast(word, src=0, group=self.orders)
            training = bool(word.item())
        return training


def join(
    device: torch.device,
    *,
    rank: int | None = None,
    world: int | None = None,
    meet: str | None = None,
) -> Group:
    """Return the group this process was started in, or a group of one.

    `rank`, `world` and `meet` (a file:// or tcp:// address) name it; without them RANK, WORLD_SIZE
    and MASTER_* in the environment do, as torchrun and a Slurm task set them.
    """
    world = int(os.environ.get("WORLD_SIZE", "1")) if world is None else world
    if world == 1:
        return Group()
    rank = int(os.environ["RANK"]) if rank is None else rank
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=meet or "env://", rank=rank, world_size=world)
    return Group(rank, world, dist.new_group(backend="gloo", timeout=_PATIENCE))


def leave() -> None:
    """Take this process out of its group; harmless where there is none."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
