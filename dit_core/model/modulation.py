"""Shift, scale and gate of all adaLN blocks, regressed from the condition vector at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6  # of every LayerNorm, as released
FINAL_MODULATIONS = ("shift", "scale")  # of the norm before the final layer
LARGEST_PRODUCT = 2**21  # weights, see `modulation_groups`


def norm(x: Tensor) -> Tensor:
    """Return x (B, T, d) normalised over its channels, without learned weights."""
    return F.layer_norm(x, x.shape[-1:], None, None, EPS)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return norm(x) * scale + shift (B, T, d); the scale holds its "1 +" already."""
    return torch.addcmul(shift, norm(x), scale)


def modulation_groups(hidden: int, depth: int, per_block: int) -> list[int]:
    """Return how many modulations each matrix product makes, block by block, the final layer last.

    One product for all blocks is quickest for small networks. Beyond some 8 MB of weights there is
    nothing left to win, and above 32 MB the C library takes the gradient's memory from the system
    anew in every step (4 % of S/4's time).
    """
    blocks = max(LARGEST_PRODUCT // (per_block * hidden * hidden), 1)
    groups = [min(blocks, depth - start) * per_block for start in range(0, depth, blocks)]
    groups[-1] += len(FINAL_MODULATIONS)
    return groups


class Modulation(nn.Module):
    """The modulations of all blocks and of the final layer from the condition vector.

    Row m * d to (m + 1) * d of the stacked `linears` makes modulation m; the released layout, one
    linear layer per block and one for the final layer, is these rows cut into pieces
    (`dit_core/model/weights/released.py`).
    """

    def __init__(self, hidden: int, depth: int, names: Sequence[str]) -> None:
        super().__init__()
        self.hidden = hidden
        self.per_block = len(names)
        self.names = tuple(names) * depth + FINAL_MODULATIONS
        groups = modulation_groups(hidden, depth, self.per_block)
        self.linears = nn.ModuleList(nn.Linear(hidden, count * hidden) for count in groups)
        for i, count in enumerate(groups):
            self.register_buffer(f"one{i}", torch.empty(count * hidden), persistent=False)

    @torch.no_grad()
    def reset_parameters(self, zero: bool) -> None:
        """Set the weights to zero, or as Xavier's rule sets the linear layer of each block."""
        rows = self.per_block * self.hidden
        for linear in self.linears:
            weight = linear.get_parameter("weight")
            if zero:
                nn.init.zeros_(weight)
                continue
            # The bounds of Xavier's rule are those of one block's layer, not of several stacked.
            for start in range(0, len(weight), rows):
                nn.init.xavier_uniform_(weight[start : start + rows])

    def reset_buffers(self) -> None:
        """Put 1 where a modulation is a scale and 0 elsewhere."""
        scales = torch.tensor([float(n == "scale") for n in self.names], device="cpu")
        rows = scales.repeat_interleave(self.hidden)
        start = 0
        for i in range(len(self.linears)):
            one = self.get_buffer(f"one{i}")
            one.copy_(rows[start : start + len(one)])
            start += len(one)

    def forward(self, c: Tensor) -> list[Tensor]:
        """Return the modulations, each (B, 1, d), in the order of `names`, for c (B, d)."""
        c = F.silu(c)
        out: list[Tensor] = []
        for i, linear in enumerate(self.linears):
            bias = linear.get_parameter("bias") + self.get_buffer(f"one{i}")
            rows = F.linear(c, linear.get_parameter("weight"), bias)
            out += rows.view(len(c), -1, 1, self.hidden).unbind(1)
        return out
