"""VAE latents on disk: memory-mapped shards of posterior moments, and their manifest.

A shard is a safetensors file of two tensors: `moments` (n, 2, 2 C, h, w), for each image the plain
and the flipped copy, each mean then standard deviation, so that what a training sample needs lies
in one piece; and `labels` (n,).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dit_core.data.order import flips, normals
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.records.disk.files import sha256_of
from dit_core.study.science.science import Frozen

MANIFEST = "manifest.json"
DTYPES = {"float16": torch.float16, "float32": torch.float32}


class VaeIdentity(Frozen):
    """Which VAE made the latents."""

    source: str
    """A hub name with its revision, or "folder"; where a folder lay is no part of what it held."""
    weights_sha256: str
    """Hash of the weights file."""
    config_sha256: str
    """Hash of the configuration file."""


class Shard(Frozen):
    """One file of latents."""

    file: str
    """Name within the data set's folder."""
    images: int
    """Images in it."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Hash of the file."""


class Manifest(Frozen):
    """What a folder of latents holds; written last: its presence means whole shards."""

    version: Literal[1] = 1
    """Version of this layout."""
    images: int
    """Images in all shards."""
    classes: dict[str, int]
    """Images of each class, in the order of the labels."""
    shape: tuple[int, int, int]
    """One latent: (C, h, w)."""
    dtype: Literal["float16", "float32"]
    """Type in which the moments are kept."""
    scale: float
    """Factor applied at reading; 0.18215 for the paper's VAE (0.18215 is in the paper's code only).
    """
    crop: str
    """Rule by which images became squares, with the size in pixels."""
    files_sha256: str
    """Hash of the source files' names, labels and sizes."""
    vae: VaeIdentity
    """The VAE."""
    device: str
    """Kind of device that encoded: CPU and GPU differ in the last bits."""
    shards: tuple[Shard, ...]
    """The files, in order."""


def read_manifest(folder: str | Path) -> Manifest:
    """Return a folder's manifest; DataError where it is missing or contradicts itself."""
    path = Path(folder) / MANIFEST
    if not Path(folder).is_dir():
        raise EnvironmentProblem(
            f"{folder}: no such folder of latents (see execution.data_roots, `ditlab encode`)"
        )
    if not path.is_file():
        raise DataError(
            f"{folder}: holds no {MANIFEST}; give the same `ditlab encode` again, it goes on where "
            "it was"
        )
    try:
        # Strict types would refuse JSON's lists for tuples; the JSON mode of pydantic knows better.
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    counts = {
        sum(s.images for s in manifest.shards),
        sum(manifest.classes.values()),
        manifest.images,
    }
    if len(counts) != 1:
        raise DataError(f"{path}: images, classes and shards count differently: {sorted(counts)}")
    return manifest


def verify(folder: str | Path) -> Iterator[tuple[Shard, str | None]]:
    """Yield each shard with None, or with what is wrong with it; reads every byte."""
    for shard in read_manifest(folder).shards:
        path = Path(folder) / shard.file
        if not path.is_file():
            yield shard, "is missing"
        elif path.stat().st_size != shard.bytes:
            yield shard, f"has {path.stat().st_size} bytes, not {shard.bytes}"
        else:
            yield (
                shard,
                None
                if sha256_of(path) == shard.sha256
                else "has another sha256: its bytes changed",
            )


class LatentDataset:
    """Latents of a folder of shards, mapped into memory: pages are read when needed."""

    def __init__(self, folder: str | Path, flip: bool = False) -> None:
        """Open the shards of `folder`; `flip` takes the flipped copy by the coin of `order.flips`.

        Raises DataError for a shard that is missing, has another size, shape or type, or labels out
        of range.
        """
        self.folder = Path(folder)
        self._flip = flip
        self.manifest = read_manifest(folder)
        pairs = [self._open(shard) for shard in self.manifest.shards]
        self._moments = [moments for moments, _ in pairs]
        self._starts = np.cumsum([0] + [s.images for s in self.manifest.shards])
        self.labels = np.concatenate([labels for _, labels in pairs])
        counts = np.bincount(self.labels, minlength=len(self.manifest.classes)).tolist()
        if counts != list(self.manifest.classes.values()):
            raise DataError(
                f"{self.folder}: labels in the shards count otherwise than {MANIFEST}'s classes"
            )

    def __len__(self) -> int:
        """Return the number of images."""
        return self.manifest.images

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return x (B, C, h, w) float32, drawn from the posterior and scaled, and y (B,).

        As `Dataset.batch`.

        Raises DataError naming the shard and the row of a latent that is not finite.
        """
        moments = self.moments(
            indices, flips(seed, stream) if self._flip else np.zeros(len(indices), dtype=bool)
        )
        mean, std = moments.chunk(2, dim=1)
        noise = torch.from_numpy(normals(seed, stream, mean[0].numel())).view(mean.shape)
        x = torch.addcmul(mean, std, noise).mul_(self.manifest.scale)
        if not torch.isfinite(x.sum()):
            self._name_the_bad_one(x, indices)
        return x, torch.from_numpy(self.labels[indices])

    def moments(self, indices: np.ndarray, flip: np.ndarray) -> Tensor:
        """Return unscaled moments (B, 2 C, h, w) float32, flipped or not: mean, then deviation."""
        c, h, w = self.manifest.shape
        # numpy views of the mapped tensors: indexing one is several times cheaper than indexing a
        # tensor.
        out = np.empty((len(indices), 2 * c, h, w), dtype=self.manifest.dtype)
        shards = np.searchsorted(self._starts, indices, side="right") - 1
        rows = indices - self._starts[shards]
        for i, (shard, row, flipped) in enumerate(
            zip(shards.tolist(), rows.tolist(), flip.tolist(), strict=True)
        ):
            out[i] = self._moments[shard][row, int(flipped)]
        return torch.from_numpy(out).float()

    def _open(self, shard: Shard) -> tuple[np.ndarray, np.ndarray]:
        path = self.folder / shard.file
        (c, h, w) = self.manifest.shape
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise DataError(
                f"{path}: missing or not {shard.bytes} bytes long; give the same `ditlab encode` "
                "again"
            )
        try:
            # On a CPU safetensors hands out views of the mapped file: nothing is read here but the
            # header.
            with safe_open(path, framework="pt", device="cpu") as file:
                moments = file.get_tensor("moments")
                labels = file.get_tensor("labels").numpy()
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path}: not a shard of latents ({error})") from error
        wanted = ((shard.images, 2, 2 * c, h, w), DTYPES[self.manifest.dtype])
        if (tuple(moments.shape), moments.dtype) != wanted or labels.shape != (shard.images,):
            raise DataError(
                f"{path}: moments are {tuple(moments.shape)} {moments.dtype}, not {wanted[0]} "
                f"{wanted[1]}"
            )
        top = len(self.manifest.classes)
        if labels.dtype != np.int64 or labels.min() < 0 or labels.max() >= top:
            raise DataError(
                f"{path}: labels run from {labels.min()} to {labels.max()}; allowed are "
                f"0..{top - 1}"
            )
        return moments.numpy(), labels

    def _name_the_bad_one(self, x: Tensor, indices: np.ndarray) -> None:
        bad = ~torch.isfinite(x).flatten(1).all(dim=1)
        if bad.any():
            index = int(indices[int(bad.int().argmax())])
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            where = self.manifest.shards[shard].file
            row = index - int(self._starts[shard])
            raise DataError(
                f"{self.folder / where}: moments[{row}] (image {index}) is not finite; encode it "
                "again"
            )
