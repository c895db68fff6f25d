"""Pictures of samples: a grid, with headings or without, single PNGs; vectors as CSV."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dit_core.records.disk.files import write_atomic

# pixels for row labels and column headings in Pillow's built-in font
_MARGIN = 22
_HEAD = 16


def save_grid(path: Path, images: Tensor, columns: int) -> None:
    """Write images (N, C, H, W) uint8 as one PNG, `columns` in a row, enlarged if small."""
    write_atomic(path, _png(Image.fromarray(_array(_tiled(images, columns)))))


def save_labelled(path: Path, blocks: list[Tensor], headings: list[str], rows: list[str]) -> None:
    """Write blocks (rows, k, C, H, W) uint8 side by side, under headings, rows labelled."""
    pictures = [
        Image.fromarray(_array(_tiled(block.flatten(0, 1), block.shape[1]))).convert("RGB")
        for block in blocks
    ]
    width = _MARGIN + sum(p.width for p in pictures) + 8 * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, _HEAD + pictures[0].height), "white")
    draw = ImageDraw.Draw(sheet)
    left = _MARGIN
    for picture, heading in zip(pictures, headings, strict=True):
        sheet.paste(picture, (left, _HEAD))
        draw.text((left, 2), heading, fill="black")
        left += picture.width + 8
    each = pictures[0].height / len(rows)
    for number, label in enumerate(rows):
        draw.text((4, _HEAD + each * (number + 0.5) - 6), label, fill="black")
    write_atomic(path, _png(sheet))


def save_each(folder: Path, images: Tensor, indices: range) -> None:
    """Write images (B, C, H, W) uint8 as <index>.png, unsynced: the seed gives them again."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in zip(indices, images, strict=True):
        (folder / f"{index:06d}.png").write_bytes(_png(Image.fromarray(_array(image))))


def save_rows(folder: Path, samples: Tensor, indices: range) -> None:
    """Write vectors (B, 1, 1, k) as <first index>.csv, one line each, its index in front."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (
        ",".join(map(repr, [i, *row]))
        for i, row in zip(indices, samples.flatten(1).tolist(), strict=True)
    )
    (folder / f"{indices[0]:06d}.csv").write_text("\n".join(lines) + "\n")


def save_maps(folder: Path, samples: Tensor, indices: range) -> None:
    """Write maps (B, C, H, W) float32 as <first index>.npy into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{indices[0]:06d}.npy", samples.numpy())


def _tiled(images: Tensor, columns: int, gap: int = 1) -> Tensor:
    """Return one picture (C, height, width) of images (N, C, H, W), white lines between."""
    n, c, h, w = images.shape
    rows = -(-n // columns)
    grid = torch.full(
        (c, rows * (h + gap) + gap, columns * (w + gap) + gap), 255, dtype=torch.uint8
    )
    for i, image in enumerate(images):
        top = gap + (i // columns) * (h + gap)
        left = gap + (i % columns) * (w + gap)
        grid[:, top : top + h, left : left + w] = image
    factor = max(1, 32 // h)
    return grid.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def _array(pixels: Tensor) -> np.ndarray:
    grey = pixels.shape[0] == 1
    array: np.ndarray = (pixels[0] if grey else pixels[:3].permute(1, 2, 0).contiguous()).numpy()
    return array


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
