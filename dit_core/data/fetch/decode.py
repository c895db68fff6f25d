"""From the files of a source to the four arrays of a set.

They are images and labels of the training and of the test split: images (n, H, W) or (n, H, W, C)
uint8, labels (n,) uint8.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dit_core.errors import DataError
from dit_core.study.catalogue.fetched_sets import FetchedSet

Array = NDArray[np.uint8]
Arrays = dict[str, Array]
_IDX_NAMES = {
    "images": "train-images-idx3-ubyte",
    "labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
_PNG_ROWS = 10_000  # images in one picture of the package; a row is one image


def cifar10_png(folder: Path, row: FetchedSet) -> Arrays:
    """Read pictures of 10,000 rows by 1,024 columns, each row one 32 x 32 image, row by row."""
    batches = [_png_batch(folder / f"data_batch_{i}.png", row) for i in range(1, 6)]
    return {
        "images": np.concatenate(batches),
        "labels": _json_labels(folder / "train_lables.json"),  # spelled so in the package
        "test_images": _png_batch(folder / "test_batch.png", row),
        "test_labels": _json_labels(folder / "test_lables.json"),
    }


def _png_batch(path: Path, row: FetchedSet) -> Array:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            wanted = (row.height * row.width, _PNG_ROWS)
            if picture.size != wanted:
                raise DataError(f"{path.name}: {picture.size} pixels; wanted are {wanted}")
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise DataError(f"{path.name}: cannot be read ({error})") from error
    return pixels.reshape(_PNG_ROWS, row.height, row.width, row.channels)


def _json_labels(path: Path) -> Array:
    try:
        return np.asarray(json.loads(path.read_bytes()), dtype=np.uint8)
    except (OSError, ValueError, OverflowError, TypeError) as error:
        raise DataError(f"{path.name}: cannot be read ({error})") from error


def idx(folder: Path, row: FetchedSet) -> Arrays:
    """Read the four IDX files of MNIST and its successors, gzipped or not."""
    return {name: _idx_array(folder, stem) for name, stem in _IDX_NAMES.items()}


def _idx_array(folder: Path, stem: str) -> Array:
    """Read one IDX file: two zero bytes, type 8, dimensions, their sizes (big-endian), bytes."""
    path = folder / stem
    packed = folder / f"{stem}.gz"
    try:
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
        dimensions = content[3]
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, struct.error) as error:
        raise DataError(f"{stem}: cannot be read ({error})") from error


def torchvision(folder: Path, row: FetchedSet) -> Arrays:
    """Read what torchvision has downloaded; it checks the md5 of every file it opens."""
    from torchvision import datasets

    source = next(one for one in row.sources if one.layout == "torchvision")
    found: Arrays = {}
    for prefix, train in (("", True), ("test_", False)):
        try:
            part = getattr(datasets, source.package)(folder, train=train, download=False)
        except RuntimeError as error:
            raise DataError(f"{row.title}: {error}") from error
        found[f"{prefix}images"] = np.asarray(part.data)
        found[f"{prefix}labels"] = np.asarray(part.targets, dtype=np.uint8)
    return found


DECODERS: dict[str, Callable[[Path, FetchedSet], Arrays]] = {
    "cifar10-png": cifar10_png,
    "idx": idx,
    "torchvision": torchvision,
}
