"""From `science.data` to a data set: checked against what the study says before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dit_core.data.check import check, check_hash
from dit_core.data.identity import folder_sha256
from dit_core.data.memory import ArrayDataset
from dit_core.data.places import no_place
from dit_core.data.sets.built_in import built_in
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.model.conditions import Given
from dit_core.records.disk.files import sha256_of
from dit_core.study.science.data import BUILT_IN, Data


class Dataset(Protocol):
    """Labelled samples in the network's range.

    It holds no position and no generator: every draw is addressed.
    """

    @property
    def labels(self) -> np.ndarray:
        """Return the labels (n,) int64."""

    def __len__(self) -> int:
        """Return the number of samples n."""

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Given]:
        """Return x (B, C, H, W) float32 and y of the samples `indices`: labels or conditions.

        Labels are (B,) int64.

        `stream` (B,) are the samples' positions in the run (images seen before each); together with
        `seed` they address all that is random about a sample: its flip, its draw from the
        posterior.
        """


def load_data(cfg: Data, root: str | None = None) -> Dataset:
    """Return the data set of `cfg`, found at `root` (None for built-in ones).

    `root` is a folder or a file.

    Raises DataError where channels, height, width, classes, count or sha256 are not what `cfg`
    says, naming both.
    """
    if cfg.name in BUILT_IN:
        return built_in(cfg)
    if root is None:
        raise EnvironmentProblem(no_place(cfg.name))
    return {"images": _images, "npz": _npz, "latents": _latents}[cfg.kind](cfg, Path(root))


def _images(cfg: Data, root: Path) -> Dataset:
    from dit_core.data.readers.images import ImageFolder, scan

    if cfg.channels not in (1, 3):
        raise DataError(
            f"data.channels is {cfg.channels}; an image folder is read as 1 (grey) or 3 (colour)"
        )
    listing = scan(root)
    shape = (cfg.channels, cfg.height, cfg.width)
    check(cfg, str(root), shape, len(listing.files), len(listing.classes))
    check_hash(cfg, str(root), listing.sha256)
    return ImageFolder(listing, shape, cfg.flip)


def _npz(cfg: Data, root: Path) -> Dataset:
    if cfg.vectors or cfg.conditions or cfg.held_out:
        from dit_core.data.readers.arrays import read_conditioned

        found = read_conditioned(cfg, root)
        check_hash(cfg, str(root), lambda: _hash_of(root))
        return found
    from dit_core.data.readers.npz import read_npz

    images, labels = read_npz(root, cfg.classes)
    check(cfg, str(root), images.shape[1:], len(images), cfg.classes)
    check_hash(cfg, str(root), lambda: _hash_of(root))
    return ArrayDataset(torch.from_numpy(images), torch.from_numpy(labels), cfg.flip)


def _hash_of(root: Path) -> str:
    """Return the sha256 of a file, or of the names and hashes of the .npy files in a folder."""
    if not root.is_dir():
        return sha256_of(root)
    return folder_sha256({file.name: sha256_of(file) for file in root.glob("*.npy")})


def _latents(cfg: Data, root: Path) -> Dataset:
    from dit_core.data.latents.latent_set import MANIFEST, LatentDataset, read_manifest

    manifest = read_manifest(root)
    check(cfg, str(root), manifest.shape, manifest.images, len(manifest.classes))
    check_hash(cfg, str(root / MANIFEST), lambda: sha256_of(root / MANIFEST))
    return LatentDataset(root, cfg.flip)
