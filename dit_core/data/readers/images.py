"""Image folders: one sub-folder per class, sorted by name; ADM's centre crop."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dit_core.data.flip import flipped
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.records.disk.files import sha256_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Modes whose conversion to 8 bits would clip or rescale values in silence.
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
CACHE_BYTES = 4 << 30


@dataclass(frozen=True)
class Listing:
    """The images of a folder in their fixed order: classes by name, then files by name."""

    root: Path
    files: tuple[str, ...]
    """Paths relative to `root`, with forward slashes."""
    labels: np.ndarray
    """Labels (n,) int64: the class's place among the sorted class names."""
    classes: tuple[str, ...]

    def sha256(self, digests: Mapping[str, str] | None = None) -> str:
        """Return the hex hash of every file's name, label and content.

        Reads all files, on several threads, unless their own hashes are given by name.
        """
        digests = digests or self._digests()
        whole = hashlib.sha256()
        for name, label in zip(self.files, self.labels, strict=True):
            whole.update(f"{name}\0{label}\0{digests[name]}\n".encode())
        return whole.hexdigest()

    def _digests(self) -> dict[str, str]:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            digests = pool.map(lambda name: sha256_of(self.root / name), self.files)
            return dict(zip(self.files, digests, strict=True))

    def sha256_of_names(self) -> str:
        """Return the hex hash of every file's name, label and size in bytes; opens no file."""
        rows = (
            f"{n}\0{y}\0{(self.root / n).stat().st_size}\n"
            for n, y in zip(self.files, self.labels, strict=True)
        )
        return hashlib.sha256("".join(rows).encode()).hexdigest()


def scan(root: str | Path) -> Listing:
    """Return the images under `root`, one sub-folder per class.

    Names that begin with a dot are ignored. Raises EnvironmentProblem where there is no such
    folder, and DataError for a file that is no image by its name, a class without images, images
    outside a class, and a folder inside a class.
    """
    root = Path(root)
    if not root.is_dir():
        raise EnvironmentProblem(f"{root}: no such folder of images (see execution.data_roots)")
    files: list[str] = []
    labels: list[int] = []
    classes = _names(root)
    if not classes:
        raise DataError(f"{root}: holds no class folder; wanted is {root}/CLASS/IMAGE.png")
    for label, name in enumerate(classes):
        if not (root / name).is_dir():
            raise DataError(
                f"{root / name}: a file beside the class folders; wanted is {root}/CLASS/IMAGE.png"
            )
        members = _names(root / name)
        if not members:
            raise DataError(f"{root / name}: a class without images; remove the folder or fill it")
        for member in members:
            if Path(member).suffix.lower() not in SUFFIXES:
                raise DataError(
                    f"{root / name / member}: not one of {', '.join(SUFFIXES)}; move it out of the "
                    "class"
                )
        files += [f"{name}/{member}" for member in members]
        labels += [label] * len(members)
    return Listing(root, tuple(files), np.array(labels, dtype=np.int64), tuple(classes))


def read_image(path: Path, channels: int = 3) -> Image.Image:
    """Return the image in 8-bit RGB (channels 3) or grey (1); DataError names a bad file."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            # Pillow decodes a PNG without its end and past a wrong checksum; this looks at both.
            # JPEG has neither.
            if image.format == "PNG":
                image.verify()
        with Image.open(io.BytesIO(content)) as image:
            if image.mode in WIDE_MODES:
                raise DataError(
                    f"{path}: mode {image.mode} holds more than 8 bits a channel; convert it to 8 "
                    "bits"
                )
            return image.convert("RGB" if channels == 3 else "L")
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders raise many kinds; whatever it is, this file is the cause. Its words
        # may name our buffer instead of the file.
        why = re.sub(r" ?<_io\.BytesIO[^>]*>", "", str(error)) or type(error).__name__
        raise DataError(
            f"{path}: does not decode as an image ({why}); replace or remove it"
        ) from error


def centre_crop(image: Image.Image, size: int) -> np.ndarray:
    """Return the centre `size` x `size` as uint8 (size, size, C), the short side fitted.

    The rule of ADM (Dhariwal & Nichol 2021), which the DiT paper's data follow: halve by box filter
    while the short side is at least twice the size, then bicubic to the size, then cut the centre.
    Small images are enlarged.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), resample=Image.Resampling.BOX)
    scale = size / min(image.size)
    target = (round(image.width * scale), round(image.height * scale))
    pixels = np.asarray(image.resize(target, resample=Image.Resampling.BICUBIC))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    top = (pixels.shape[0] - size) // 2
    left = (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


class ImageFolder:
    """Images decoded on first use, on several threads; kept where all fit in 4 GiB."""

    def __init__(self, listing: Listing, shape: tuple[int, int, int], flip: bool = False) -> None:
        """Take the listing, the wanted shape (C, H, W) and whether to flip by `order.flips`."""
        self._listing = listing
        self._shape = shape
        self._flip = flip
        self.labels = listing.labels
        self._threads = ThreadPoolExecutor(min(16, os.cpu_count() or 1))
        fits = len(listing.files) * int(np.prod(shape)) <= CACHE_BYTES
        self._cache = np.empty((len(listing.files), *shape), dtype=np.uint8) if fits else None
        self._known = np.zeros(len(listing.files), dtype=bool)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def side(self) -> int:
        """Return the shorter wanted side in pixels; smaller images are enlarged to it."""
        return min(self._shape[1:])

    def path(self, index: int) -> Path:
        """Return the file of an image."""
        return self._listing.root / self._listing.files[index]

    def pixels(self, index: int) -> np.ndarray:
        """Return an image (C, H, W) uint8; DataError names a file that does not decode."""
        return self._pixels(index)

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return x (B, C, H, W) float32 in [-1, 1] and y (B,) int64; as `Dataset.batch`.

        DataError names a bad file.
        """
        pixels = np.empty((len(indices), *self._shape), dtype=np.uint8)
        for row, image in zip(
            pixels, self._threads.map(self._pixels, indices.tolist()), strict=True
        ):
            row[...] = image
        x = torch.from_numpy(pixels).float().div_(127.5).sub_(1)
        y = torch.from_numpy(self.labels[indices])
        return flipped(x, stream, seed) if self._flip else x, y

    def _pixels(self, index: int) -> np.ndarray:
        if self._cache is not None and self._known[index]:
            cached: np.ndarray = self._cache[index]
            return cached
        channels, height, width = self._shape
        path = self.path(index)
        image = read_image(path, channels)
        if height == width:
            pixels = centre_crop(image, height)
        elif image.size == (width, height):
            pixels = np.asarray(image).reshape(height, width, channels)
        else:
            is_ = f"{image.height}x{image.width}"
            wanted = f"{height}x{width}"
            raise DataError(
                f"{path}: is {is_}; only a square is cut from an image, other shapes must be "
                f"{wanted}"
            )
        pixels = pixels.transpose(2, 0, 1)
        if self._cache is not None:
            self._cache[index] = pixels
            self._known[index] = True
        return pixels


def _names(folder: Path) -> list[str]:
    """Return the visible names in a folder by code point: the same on every machine."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
