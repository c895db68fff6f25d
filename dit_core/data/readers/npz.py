"""Samples as named arrays, in an .npz or a folder: read without pickle, checked by value."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dit_core.errors import DataError, EnvironmentProblem, nearest


def read_npz(path: str | Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, C, H, W), uint8 or float32 in [-1, 1], and labels (n,) int64.

    On disk `images` is (n, H, W) or (n, H, W, C). Raises EnvironmentProblem where there is no file
    and DataError naming the array, and the row where there is one, for anything else than the
    above.
    """
    path = Path(path)
    found = open_arrays(path, ("images", "labels"))
    return images_of(path, found["images"]), class_labels(
        path, found["labels"], len(found["images"]), classes
    )


def open_arrays(
    path: Path, wanted: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return the arrays `wanted`, and those of `optional` that are there.

    `path` is an .npz or a folder of .npy files.

    Those of a folder are memory-mapped. Raises EnvironmentProblem where nothing is at `path`, and
    DataError naming an array that is missing or a file that does not read as plain arrays.
    """
    if path.is_dir():
        there = {file.stem: file for file in path.glob("*.npy")}
        for name in wanted:
            _require(path, name, list(there))
        names = [name for name in (*wanted, *optional) if name in there]
        return {
            name: _read(there[name], lambda file: np.load(file, mmap_mode="c", allow_pickle=False))
            for name in names
        }
    if not path.is_file():
        raise EnvironmentProblem(
            f"{path}: no such .npz file or folder of .npy files (see execution.data_roots)"
        )
    arrays: dict[str, np.ndarray] = _read(path, lambda file: _from_npz(file, wanted, optional))
    return arrays


def _mapped(file: Path) -> np.ndarray:
    array: np.ndarray = np.load(file, mmap_mode="c", allow_pickle=False)
    return array


def _from_npz(path: Path, wanted: Sequence[str], optional: Sequence[str]) -> dict[str, np.ndarray]:
    loaded = np.load(path, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise DataError(
            f"{path}: one array, not an .npz; write np.savez({path.name!r}, images=…, labels=…)"
        )
    with loaded as archive:
        for name in wanted:
            _require(path, name, archive.files)
        return {name: archive[name] for name in (*wanted, *optional) if name in archive.files}


def _read(path: Path, how: Callable[[Path], Any]) -> Any:
    try:
        return how(path)
    except ValueError as error:
        raise DataError(f"{path}: {_own_words(path, error)}") from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: not readable as {path.suffix or '.npz'} of plain arrays ({error})"
        ) from error


def _own_words(path: Path, error: ValueError) -> str:
    """Return what is wrong with a file; numpy's own advice, pickles, would run what they hold."""
    if not any(word in str(error) for word in ("pickle", "Python objects")):
        return f"not readable as {path.suffix or '.npz'} of plain arrays ({error})"
    with open(path, "rb") as file:
        start = file.read(6)
    if start[:2] == b"PK" or start == b"\x93NUMPY":
        return "holds pickled objects, which are never loaded; save plain arrays of numbers"
    return (
        f"is no {path.suffix or '.npz'} file, or a pickle, which is never loaded; "
        "save plain arrays with numpy"
    )


def _require(path: Path, name: str, there: Sequence[str]) -> None:
    if name not in there:
        raise DataError(
            f"{path}: has no array {name!r}{nearest(name, there)}; it has "
            f"{', '.join(there) or 'none'}"
        )


def images_of(path: Path, images: np.ndarray) -> np.ndarray:
    """Return images (n, C, H, W) of an array; DataError where it holds none.

    On disk: (n, H, W) or (n, H, W, C), uint8 or float32 in [-1, 1].
    """
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{path}: images has shape {images.shape}; wanted is (n, H, W) or (n, H, W, C)"
        )
    if images.dtype == np.float32:
        _check_range(path, images)
    elif images.dtype != np.uint8:
        raise DataError(
            f"{path}: images is {images.dtype}; wanted is uint8 (0..255) or float32 (-1..1)"
        )
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _check_range(path: Path, images: np.ndarray) -> None:
    rows = images.reshape(len(images), -1)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise DataError(
            f"{path}: images[{bad.argmax()}] holds NaN or infinity ({bad.sum()} of {len(images)} "
            "do)"
        )
    bad = np.abs(rows).max(axis=1) > 1
    if bad.any():
        row = int(bad.argmax())
        low = rows[row].min()
        high = rows[row].max()
        raise DataError(
            f"{path}: images[{row}] runs from {low:g} to {high:g}; float images must lie in -1..1"
        )
    if rows.min() >= 0:
        # The common slip: images in 0..1 would train without a complaint and be wrong by a factor
        # of two.
        raise DataError(
            f"{path}: no value of images is negative; float images must span -1..1 (2 x - 1 of "
            "0..1)"
        )


def class_labels(path: Path, labels: np.ndarray, images: int, classes: int) -> np.ndarray:
    """Return labels (n,) int64; DataError names the first that is no class."""
    if labels.shape != (images,):
        raise DataError(
            f"{path}: labels has shape {labels.shape} for {images} images; wanted is ({images},)"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels is {labels.dtype}; wanted is an integer type")
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{path}: labels[{row}] is {labels[row]}; with data.classes {classes} labels are "
            f"0..{classes - 1} "
            f"({bad.sum()} of {images} are not)"
        )
    return labels.astype(np.int64)
