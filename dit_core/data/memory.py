"""Samples held in memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dit_core.data.flip import flipped


class ArrayDataset:
    """Samples held in memory, in the network's range or as uint8."""

    def __init__(self, x: Tensor, y: Tensor, flip: bool = False) -> None:
        """Take x (n, C, H, W), float32 in [-1, 1] or uint8, and y (n,) int64."""
        self._x = x
        self._y = y
        self._flip = flip
        self.labels = y.numpy()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._y)

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return x (B, C, H, W) float32 in [-1, 1] and y (B,) int64; see `Dataset.batch`."""
        # index_select accepts read-only numpy views only through a copy; B integers cost nothing.
        index = torch.from_numpy(np.array(indices, dtype=np.int64))
        x = self._x.index_select(0, index)
        if x.dtype == torch.uint8:
            x = x.float().div_(127.5).sub_(1)
        return flipped(x, stream, seed) if self._flip else x, self._y.index_select(0, index)
