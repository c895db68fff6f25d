"""Images that are not sampled but read, checked one by one, streamed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from dit_core.errors import DataError, EnvironmentProblem, UserError

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """A number of images of one shape (C, H, W), and how to read them from image `start` on."""

    name: str
    count: int
    shape: Shape
    read: Callable[[int], Iterator[Tensor]]
    """read(batch) yields (B, C, H, W) uint8, in order."""


def open_source(path: Path, shape: Shape | None = None, crop: bool = False) -> Source:
    """Return the images at `path`: an .npz with arr_0 (N, H, W, C) uint8, or a folder.

    `shape` is the wanted (C, H, W); `crop` cuts a folder's images to it as ADM does, otherwise
    another size is an error. Raises EnvironmentProblem where nothing is there and DataError naming
    array or file for anything else.
    """
    if path.is_dir():
        return _folder(path, shape, crop)
    if not path.is_file():
        raise EnvironmentProblem(f"{path}: no such file or folder of images")
    if path.suffix != ".npz":
        raise UserError(f"{path}: wanted is an .npz (arr_0 of uint8 images) or a folder of images")
    return _npz(path, shape)


def require_count(source: Source, count: int | None) -> None:
    """Raise DataError where a source has another number of images than a protocol wants."""
    if count is not None and source.count != count:
        off = abs(source.count - count)
        short = f"{off:,} missing, the first has index {source.count}"
        why = short if source.count < count else f"{off:,} too many"
        raise DataError(f"{source.name}: has {source.count:,} images, wanted are {count:,} ({why})")


def _npz(path: Path, shape: Shape | None) -> Source:
    full, dtype = npz_header(path, "arr_0")
    if len(full) != 4 or full[3] not in (1, 3) or 0 in full:
        raise DataError(f"{path}: arr_0 has shape {full}; wanted is (N, H, W, 3)")
    if dtype != np.uint8:
        raise DataError(
            f"{path}: arr_0 is {dtype}; images must be uint8 (0..255), made by clamp(127.5 x + 128)"
        )
    found = (full[3], full[1], full[2])
    if shape is not None and found != shape:
        raise DataError(f"{path}: arr_0 holds images of {found}, wanted are {shape}")

    def read(batch: int) -> Iterator[Tensor]:
        for rows in npz_rows(path, "arr_0", batch):
            yield torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous()

    return Source(str(path), full[0], found, read)


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of one array of an .npz without reading it."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, name)) as file:
            shape, _, dtype = _read_header(file)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: {name} is not readable as a plain array ({error})") from error
    return shape, dtype


def npz_rows(path: Path, name: str, batch: int) -> Iterator[np.ndarray]:
    """Yield an array of an .npz in blocks of `batch` rows: 10 GB never lie in memory."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, name)) as file:
            shape, fortran, dtype = _read_header(file)
            if fortran:
                raise DataError(
                    f"{path}: {name} is stored column by column; save it as a C-ordered array"
                )
            each = int(np.prod(shape[1:])) * dtype.itemsize
            for first in range(0, shape[0], batch):
                rows = min(batch, shape[0] - first)
                data = file.read(rows * each)
                if len(data) != rows * each:
                    raise DataError(
                        f"{path}: {name} ends at row {first + len(data) // each} of {shape[0]}"
                    )
                yield np.frombuffer(bytearray(data), dtype).reshape(rows, *shape[1:])
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: {name} is not readable ({error})") from error


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> str:
    names = [entry.removesuffix(".npy") for entry in archive.namelist()]
    if name not in names:
        raise DataError(f"{path}: has no array {name!r}; it has {', '.join(names) or 'none'}")
    return archive.namelist()[names.index(name)]


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    reader = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = reader(file)
    if dtype.hasobject:
        raise DataError("an array of Python objects is never unpickled")
    return shape, fortran, dtype


def _folder(path: Path, shape: Shape | None, crop: bool) -> Source:
    """Return the images in a folder and its sub-folders, sorted by path."""
    from dit_core.data.readers.images import SUFFIXES, centre_crop, read_image

    files = sorted(
        p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    )
    if not files:
        raise DataError(f"{path}: holds no images ({', '.join(SUFFIXES)})")
    if shape is None:
        first = np.asarray(read_image(files[0]))
        shape = (3, first.shape[0], first.shape[1])
    channels, height, width = shape

    def one(index: int) -> np.ndarray:
        image = read_image(files[index], channels)
        if crop and height == width:
            return centre_crop(image, height)
        if image.size != (width, height):
            raise DataError(
                f"{files[index]} (index {index}): is {image.width}x{image.height}, wanted is "
                f"{width}x{height}"
            )
        return np.asarray(image).reshape(height, width, channels)

    def read(batch: int) -> Iterator[Tensor]:
        for first in range(0, len(files), batch):
            rows = np.stack([one(i) for i in range(first, min(first + batch, len(files)))])
            yield torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous()

    return Source(str(path), len(files), shape, read)


def latent_source(
    path: Path, decode: Callable[[Tensor], Tensor], scale: float, shape: Shape
) -> Source:
    """Return the images of a folder of latent shards: the posterior means, decoded."""
    from dit_core.data.latents.latent_set import LatentDataset
    from dit_core.evaluate.samples.pixels import to_uint8

    latents = LatentDataset(path)

    def read(batch: int) -> Iterator[Tensor]:
        for first in range(0, len(latents), batch):
            indices = np.arange(first, min(first + batch, len(latents)))
            moments = latents.moments(indices, np.zeros(len(indices), dtype=bool))
            yield to_uint8(
                decode(moments.chunk(2, dim=1)[0] * scale), range(first, len(latents))
            ).cpu()

    return Source(str(path), len(latents), shape, read)


def npz_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in an .npz; DataError where it is none.

    Raises EnvironmentProblem without a file.
    """
    if not path.is_file():
        raise EnvironmentProblem(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(entry.removesuffix(".npy") for entry in archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: is no .npz ({error})") from error
