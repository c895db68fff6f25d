"""Randomness of training, addressed by (seed, images seen): no generator state is ever saved.

A step's draws are made for the whole batch and cut into shares, so they do not depend on processes
or micro-batches.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

# An odd factor keeps seeds distinct in their low 32 bits, all that a CPU generator takes.
_ODD = 0x9E3779B97F4A7C15
_MASK = (1 << 63) - 1


class Draws(NamedTuple):
    """What one step draws."""

    u: Tensor  # (B,) in [0, 1): picks the time
    drop: Tensor  # (B,) in [0, 1): decides label dropout
    noise: Tensor  # (B, C, H, W), standard normal


def step_draws(
    generator: torch.Generator, seed: int, step: int, batch: int, shape: tuple[int, ...]
) -> Draws:
    """Return the draws of step `step` of the run with this seed, for the whole batch."""
    generator.manual_seed((_base(seed) + step * _ODD) & _MASK)
    device = generator.device
    pair = torch.rand(2, batch, generator=generator, device=device)
    return Draws(pair[0], pair[1], torch.randn(batch, *shape, generator=generator, device=device))


def init_seed(seed: int) -> int:
    """Return the seed under which a run's weights are initialised."""
    return _hash(f"init {seed}")


@functools.cache
def _base(seed: int) -> int:
    return _hash(f"train {seed}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") & _MASK
