"""Samples in an .npz of two arrays, `images` and `labels`: read without pickle, checked value by value."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from dit_core.errors import DataError, EnvironmentProblem, nearest


def read_npz(path: str | Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, C, H, W), uint8 or float32 in [-1, 1], and labels (n,) int64.

    On disk `images` is (n, H, W) or (n, H, W, C). Raises EnvironmentProblem where there is no file and DataError
    naming the array, and the row where there is one, for anything else than the above.
    """
    path = Path(path)
    if not path.is_file():
        raise EnvironmentProblem(f"{path}: no such .npz file (see execution.data_roots)")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise DataError(f"{path}: one array, not an .npz; write np.savez({path.name!r}, images=…, labels=…)")
        with loaded as archive:
            images, labels = (_array(path, archive, name) for name in ("images", "labels"))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not readable as .npz of plain arrays ({error})") from error
    return _images(path, images), _labels(path, labels, len(images), classes)


def _array(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    if name not in archive.files:
        near = nearest(name, archive.files)
        raise DataError(f"{path}: has no array {name!r}{near}; it has {', '.join(archive.files) or 'none'}")
    return archive[name]


def _images(path: Path, images: np.ndarray) -> np.ndarray:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(f"{path}: images has shape {images.shape}; wanted is (n, H, W) or (n, H, W, C)")
    if images.dtype == np.float32:
        _check_range(path, images)
    elif images.dtype != np.uint8:
        raise DataError(f"{path}: images is {images.dtype}; wanted is uint8 (0..255) or float32 (-1..1)")
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _check_range(path: Path, images: np.ndarray) -> None:
    rows = images.reshape(len(images), -1)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise DataError(f"{path}: images[{bad.argmax()}] holds NaN or infinity ({bad.sum()} of {len(images)} do)")
    bad = np.abs(rows).max(axis=1) > 1
    if bad.any():
        row = int(bad.argmax())
        low, high = rows[row].min(), rows[row].max()
        raise DataError(f"{path}: images[{row}] runs from {low:g} to {high:g}; float images must lie in -1..1")
    if rows.min() >= 0:
        # The common slip: images in 0..1 would train without a complaint and be wrong by a factor of two.
        raise DataError(f"{path}: no value of images is negative; float images must span -1..1 (2 x - 1 of 0..1)")


def _labels(path: Path, labels: np.ndarray, images: int, classes: int) -> np.ndarray:
    if labels.shape != (images,):
        raise DataError(f"{path}: labels has shape {labels.shape} for {images} images; wanted is ({images},)")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels is {labels.dtype}; wanted is an integer type")
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{path}: labels[{row}] is {labels[row]}; with data.classes {classes} labels are 0..{classes - 1} "
            f"({bad.sum()} of {images} are not)"
        )
    return labels.astype(np.int64)
