"""Pictures of samples: one grid, or every image by itself, as PNG (lossless)."""

from __future__ import annotations

import io
from pathlib import Path

from torch import Tensor

from dit_core.records.files import write_atomic


def save_grid(path: Path, images: Tensor, columns: int, gap: int = 1) -> None:
    """Write images (N, C, H, W) uint8 as one PNG, `columns` in a row; small images are enlarged by a whole factor."""
    from PIL import Image

    n, c, h, w = images.shape
    rows = -(-n // columns)
    grid = images.new_full((c, rows * (h + gap) + gap, columns * (w + gap) + gap), 255)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        grid[:, top : top + h, left : left + w] = image
    factor = max(1, 48 // h)
    pixels = grid.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
    write_atomic(path, _png(Image, pixels))


def save_each(folder: Path, images: Tensor, indices: range) -> None:
    """Write images (B, C, H, W) uint8 as <index>.png into `folder`."""
    from PIL import Image

    for index, image in zip(indices, images, strict=True):
        write_atomic(folder / f"{index:06d}.png", _png(Image, image))


def _png(image_module: object, pixels: Tensor) -> bytes:
    array = pixels[0].numpy() if pixels.shape[0] == 1 else pixels[:3].permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    image_module.fromarray(array).save(buffer, format="PNG")  # type: ignore[attr-defined]
    return buffer.getvalue()
