"""From `science.data` to a data set: checked against what the study says before the first step."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dit_core.data.order import flips
from dit_core.errors import DataError
from dit_core.study.science import Data


class Dataset(Protocol):
    """Labelled samples in the network's range. It holds no position and no generator: every draw is addressed."""

    labels: np.ndarray
    """Labels (n,) int64."""

    def __len__(self) -> int:
        """Return the number of samples n."""

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return x (B, C, H, W) float32 and y (B,) int64 of the samples `indices`.

        `stream` (B,) are the samples' positions in the run (images seen before each); together with `seed` they
        address all that is random about a sample: its flip, its draw from the posterior.
        """


class ArrayDataset:
    """Samples held in memory, in the network's range or as uint8."""

    def __init__(self, x: Tensor, y: Tensor, flip: bool = False) -> None:
        """Take x (n, C, H, W), float32 in [-1, 1] or uint8, and y (n,) int64."""
        self._x, self._y, self._flip = x, y, flip
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


def flipped(x: Tensor, stream: np.ndarray, seed: int) -> Tensor:
    """Return x (B, C, H, W) with the samples whose coin says so flipped left-right."""
    coin = torch.from_numpy(flips(seed, stream))
    return torch.where(coin[:, None, None, None], x.flip(-1), x)


def load_data(cfg: Data, root: str | None = None) -> Dataset:
    """Return the data set of `cfg`, found at `root` (a folder or file; None for the built-in digits).

    Raises DataError where channels, height, width, classes, count or sha256 are not what `cfg` says, naming both.
    """
    if cfg.kind == "digits":
        from dit_core.data.digits import digits

        x, y = digits()
        check(cfg, "the built-in digits", tuple(x.shape[1:]), len(y), 10)
        return ArrayDataset(x, y, cfg.flip)
    raise DataError(f"data.kind {cfg.kind!r} is not readable")


def check(cfg: Data, where: str, shape: tuple[int, ...], images: int, classes: int) -> None:
    """Raise DataError naming every value in which the data at `where` differ from the study's `data`."""
    stated = {"channels": cfg.channels, "height": cfg.height, "width": cfg.width, "images": cfg.images}
    found = dict(zip(stated, (*shape, images), strict=True)) | {"classes": classes}
    stated["classes"] = cfg.classes
    wrong = [f"data.{k} is {stated[k]} but there are {v}" for k, v in found.items() if stated[k] != v]
    if wrong:
        remedy = ", ".join(f"{k}: {v}" for k, v in found.items())
        raise DataError(f"{where}: {'; '.join(wrong)}; write data: {{{remedy}}}")
