"""The processes one run is trained on: each takes its share of every batch, and one all-reduce joins them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from dit_core.errors import UserError


@dataclass(frozen=True, slots=True)
class Group:
    """This process among those of the run. Rank 0 alone writes files."""

    rank: int = 0
    world: int = 1

    def share(self, batch: int) -> slice:
        """Return this process's part of a batch; raise UserError where the batch does not divide evenly."""
        if batch % self.world:
            fits = [w for w in range(1, batch + 1) if batch % w == 0][:12]
            raise UserError(f"train.batch {batch} does not divide over {self.world} processes; these do: {fits}")
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def announce(self, training: bool = False) -> bool:
        """Return on every process what the first one passes: whether there is a training to take part in."""
        if self.world > 1:
            device = "cuda" if dist.get_backend() == "nccl" else "cpu"
            word = torch.tensor([float(training)], device=device)
            dist.broadcast(word, src=0)
            training = bool(word.item())
        return training

    def sum(self, tensor: Tensor) -> None:
        """Add up `tensor` over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)


def join(device: torch.device) -> Group:
    """Return the group this process was started in (RANK, WORLD_SIZE and MASTER_* in the environment), or a group of one.

    NCCL joins GPUs, gloo CPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Group()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Take this process out of its group; harmless where there is none."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
