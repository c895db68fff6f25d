"""What can be measured on a digit: ink, slant, width.

They are conditions of a study and the test of its obedience.
"""

from __future__ import annotations

import torch
from torch import Tensor

MEASURES = ("ink", "slant", "width")


def measures(x: Tensor) -> Tensor:
    """Return ink, slant, width (B, 3) of images in [-1, 1]; NaN where there is no ink.

    ink: mean grey level, 0 (blank) to 1. slant: columns to the right per row upwards, the shear
    that would set the digit upright. width: standard deviation of the ink's columns, in pixels.
    Values beyond [-1, 1] count as the limit.
    """
    # Double precision: moments are differences of nearly equal sums.
    weight = ((x.double() + 1) / 2).clamp(0, 1).squeeze(1)
    height, width = weight.shape[-2:]
    total = weight.sum(dim=(1, 2))
    rows = torch.arange(height, dtype=torch.float64, device=x.device)[:, None]
    columns = torch.arange(width, dtype=torch.float64, device=x.device)[None, :]

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum(dim=(1, 2)) / total

    row = mean(rows)[:, None, None]
    column = mean(columns)[:, None, None]
    across = columns - column
    down = rows - row
    slant = -mean(across * down) / mean(down * down)
    out = torch.stack([total / (height * width), slant, mean(across * across).sqrt()], dim=1)
    out[total == 0] = torch.nan
    return out.float()
