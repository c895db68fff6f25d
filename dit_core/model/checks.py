"""What every network asks of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from dit_core.errors import UserError


def check_inputs(shape: tuple[int, int, int], x: Tensor, t: Tensor, y: Tensor) -> None:
    """Raise UserError where x is not (B, *shape), or t or y is not (B,)."""
    if x.shape[1:] != shape:
        raise UserError(f"the network takes (batch, {_by(shape)}), but was given ({_by(x.shape)})")
    if t.shape != x.shape[:1] or y.shape != x.shape[:1]:
        raise UserError(
            f"times and labels must be of shape ({x.shape[0]},), one per sample; got times "
            f"({_by(t.shape)}) "
            f"and labels ({_by(y.shape)})"
        )


def check_labels(y: Tensor, null_class: int) -> None:
    """Raise UserError where a label of y (B,) is no class (the null class is one).

    Waits for a GPU.
    """
    wrong = y[(y < 0) | (y > null_class)]
    if wrong.numel():
        raise UserError(
            f"label {int(wrong[0])} is out of range: classes are 0 to {null_class - 1}, "
            f"and {null_class} is the null class"
        )


def _by(shape: tuple[int, ...] | torch.Size) -> str:
    return ", ".join(map(str, shape))
