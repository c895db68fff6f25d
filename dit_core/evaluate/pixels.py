"""The one rule by which samples become 8-bit images, and the checks on what comes in."""

from __future__ import annotations

import torch
from torch import Tensor

from dit_core.errors import DataError


def to_uint8(x: Tensor, first: int = 0) -> Tensor:
    """Return images (B, C, H, W) in [-1, 1] as uint8 of the same shape.

    Raises DataError naming the first sample (its number counted from `first`) that holds a NaN or an infinity.
    """
    finite = torch.isfinite(x).flatten(1).all(dim=1)
    if not finite.all():
        bad = torch.nonzero(~finite).flatten()
        raise DataError(
            f"sample {first + int(bad[0])} holds values that are not finite ({len(bad)} of {len(x)} in its batch); "
            "the weights or the sampler diverged, nothing was measured"
        )
    return (127.5 * x + 128).clamp_(0, 255).to(torch.uint8)
