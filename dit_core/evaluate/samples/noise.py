"""Noise addressed by image: sample i depends on (seed, i) alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

# The highest word of Philox's counter keeps these streams apart from any other use of the same key.
STREAM = 0x73616D70
CHUNK_BYTES = 64 * 2**20


def noise_source(
    seed: int,
    indices: Sequence[int],
    shape: tuple[int, int, int],
    device: torch.device | str = "cpu",
) -> Callable[[int], Tensor]:
    """Return `noise(k)`: the k-th standard normal of each image, (B, C, H, W) float32 on `device`.

    Image i draws from numpy's Philox with key (seed, i), so its values are the same in any batch
    and on any device. Cheapest for k = 0, 1, 2, …: a few steps are drawn ahead at once, never more
    than 64 MiB; going back starts again.
    """
    return _Noise(seed, list(indices), shape, torch.device(device))


class _Noise:
    def __init__(
        self, seed: int, indices: list[int], shape: tuple[int, int, int], device: torch.device
    ) -> None:
        self.seed = seed
        self.indices = indices
        self.shape = shape
        self.device = device
        per_step = max(1, 4 * len(indices) * int(np.prod(shape)))
        self.most = max(1, CHUNK_BYTES // per_step)
        self._restart()

    def _restart(self) -> None:
        self.generators = [_generator(self.seed, index) for index in self.indices]
        self.first = 0
        self.drawn = np.empty((len(self.indices), 0, *self.shape), np.float32)

    def _draw(self) -> None:
        # One step first, because a deterministic sampler asks for no second; then twice as many
        # each time, up to 32.
        self.first += self.drawn.shape[1]
        count = min(max(1, 2 * self.drawn.shape[1]), 32, self.most)
        self.drawn = np.empty((len(self.indices), count, *self.shape), np.float32)
        for row, generator in zip(self.drawn, self.generators, strict=True):
            generator.standard_normal(dtype=np.float32, out=row)

    def __call__(self, k: int) -> Tensor:
        if k < self.first:
            self._restart()
        while k >= self.first + self.drawn.shape[1]:
            self._draw()
        return torch.from_numpy(self.drawn[:, k - self.first].copy()).to(
            self.device, non_blocking=True
        )


def _generator(seed: int, index: int) -> np.random.Generator:
    key = np.array([seed, index], dtype=np.uint64)
    counter = np.array([0, 0, 0, STREAM], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
