"""From `science.data` to a data set: checked against what the study says before the first step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dit_core.data.flip import flipped
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.records.files import sha256_of
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


def load_data(cfg: Data, root: str | None = None) -> Dataset:
    """Return the data set of `cfg`, found at `root` (a folder or file; None for the built-in digits).

    Raises DataError where channels, height, width, classes, count or sha256 are not what `cfg` says, naming both.
    """
    if cfg.kind == "digits":
        return _digits(cfg)
    if root is None:
        raise EnvironmentProblem(f"data {cfg.name!r} has no place; set execution.data_roots: {{{cfg.name}: PATH}}")
    return {"images": _images, "npz": _npz, "latents": _latents}[cfg.kind](cfg, Path(root))


def _digits(cfg: Data) -> Dataset:
    from dit_core.data.digits import digits

    x, y = digits()
    check(cfg, "the built-in digits", tuple(x.shape[1:]), len(y), 10)
    check_hash(
        cfg, "the built-in digits", lambda: hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()
    )
    return ArrayDataset(x, y, cfg.flip)


def _images(cfg: Data, root: Path) -> Dataset:
    from dit_core.data.images import ImageFolder, scan

    if cfg.channels not in (1, 3):
        raise DataError(f"data.channels is {cfg.channels}; an image folder is read as 1 (grey) or 3 (colour)")
    listing, shape = scan(root), (cfg.channels, cfg.height, cfg.width)
    check(cfg, str(root), shape, len(listing.files), len(listing.classes))
    check_hash(cfg, str(root), listing.sha256)
    return ImageFolder(listing, shape, cfg.flip)


def _npz(cfg: Data, root: Path) -> Dataset:
    from dit_core.data.npz import read_npz

    images, labels = read_npz(root, cfg.classes)
    check(cfg, str(root), images.shape[1:], len(images), cfg.classes)
    check_hash(cfg, str(root), lambda: sha256_of(root))
    return ArrayDataset(torch.from_numpy(images), torch.from_numpy(labels), cfg.flip)


def _latents(cfg: Data, root: Path) -> Dataset:
    from dit_core.data.latents import MANIFEST, LatentDataset, read_manifest

    manifest = read_manifest(root)
    check(cfg, str(root), manifest.shape, manifest.images, len(manifest.classes))
    check_hash(cfg, str(root / MANIFEST), lambda: sha256_of(root / MANIFEST))
    return LatentDataset(root, cfg.flip)


def check(cfg: Data, where: str, shape: tuple[int, ...], images: int, classes: int) -> None:
    """Raise DataError naming every value in which the data at `where` differ from the study's `data`."""
    stated = {"channels": cfg.channels, "height": cfg.height, "width": cfg.width, "images": cfg.images}
    found = dict(zip(stated, (*shape, images), strict=True)) | {"classes": classes}
    stated["classes"] = cfg.classes
    wrong = [f"data.{k} is {stated[k]} but there are {v}" for k, v in found.items() if stated[k] != v]
    if wrong:
        remedy = ", ".join(f"{k}: {v}" for k, v in found.items())
        raise DataError(f"{where}: {'; '.join(wrong)}; write data: {{{remedy}}}")


def check_hash(cfg: Data, where: str, found: Callable[[], str]) -> None:
    """Raise DataError where `data.sha256` is given and is not the hash that `found` computes."""
    if cfg.sha256 is not None and (digest := found()) != cfg.sha256:
        raise DataError(f"{where}: its sha256 is {digest}, data.sha256 says {cfg.sha256}: these are other data")
