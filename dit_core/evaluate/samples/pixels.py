"""From the network's range to 8-bit images, by the one rule of `protocols.UINT8_RULE`, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dit_core.errors import DataError


def to_uint8(x: Tensor, numbers: Sequence[int] | None = None) -> Tensor:
    """Return images (B, C, H, W) in [-1, 1] as uint8 of the same shape.

    Raises DataError naming the first sample that holds a NaN or an infinity, by its number in
    `numbers` if given.
    """
    check_finite(x, numbers)
    return (127.5 * x + 128).clamp_(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) uint8 as float32 in [-1, 1], within half a grey level."""
    return images.float().div_(127.5).sub_(1)


def check_finite(x: Tensor, numbers: Sequence[int] | None = None) -> None:
    """Raise DataError naming the first of samples (B, ...) that is not finite."""
    finite = torch.isfinite(x).flatten(1).all(dim=1)
    if not finite.all():
        bad = torch.nonzero(~finite).flatten().tolist()
        first = bad[0] if numbers is None else numbers[bad[0]]
        raise DataError(
            f"sample {first} holds values that are not finite ({len(bad)} of {len(x)} in its "
            "batch); "
            "the weights or the sampler diverged, nothing was measured"
        )
