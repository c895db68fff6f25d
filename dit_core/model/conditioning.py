"""The four ways in which time and label enter a block (paper section 3.2, figure 3).

A block takes tokens x (B, T, d) and its own condition c, and returns tokens (B, T, d):

    design            c                                          added to a plain ViT block
    in-context        none: t and y are two more tokens of x     nothing
    cross-attention   (B, 2, d): t and y as a sequence           an attention from x to c after the self-attention
    adaln             4 x (B, 1, d): shift and scale, twice      LayerNorm without weights, modulated
    adaln-zero        6 x (B, 1, d): shift, scale and gate,      ditto, and a gate on each residual branch that is
                      twice                                      zero at the start

Where the data have context tokens or a map to attend to, `context` (B, S, d), the two adaLN designs
gain an attention from x to it after the self-attention, whose result starts at zero; in the
cross-attention design it lengthens c.

A scale arrives with its one already added (`Modulation` does so for all blocks at once), so that
modulating is a single fused multiply-add: shift + norm(x) * (1 + scale).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit_core.model.layers import Attention, CrossAttention, Mlp

EPS = 1e-6  # of every LayerNorm

# Modulations of one block, in the order of the released weights. "scale" marks those that are used
# as 1 + value.
MODULATIONS: dict[str, tuple[str, ...]] = {
    "adaln": ("shift", "scale", "shift", "scale"),
    "adaln-zero": ("shift", "scale", "gate", "shift", "scale", "gate"),
    "cross-attention": (),
    "in-context": (),
}
FINAL_MODULATIONS = ("shift", "scale")
LARGEST_PRODUCT = 2**21  # weights, see `modulation_groups`


def norm(x: Tensor) -> Tensor:
    """Return x (B, T, d) normalised over its channels, without learned weights."""
    return F.layer_norm(x, x.shape[-1:], None, None, EPS)


def modulation_groups(hidden: int, depth: int, per_block: int) -> list[int]:
    """Return how many modulations each matrix product makes; they go through the blocks in order,
    the final layer last.

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
    (`dit_core/model/weights/layouts.py`).
    """

    def __init__(self, hidden: int, depth: int, names: Sequence[str]) -> None:
        super().__init__()
        self.hidden = hidden
        self.names = tuple(names) * depth + FINAL_MODULATIONS
        groups = modulation_groups(hidden, depth, len(names))
        self.linears = nn.ModuleList(nn.Linear(hidden, count * hidden) for count in groups)
        for i, count in enumerate(groups):
            self.register_buffer(f"one{i}", torch.empty(count * hidden), persistent=False)

    def reset_buffers(self) -> None:
        """Put 1 where a modulation is a scale and 0 elsewhere."""
        scales = torch.tensor([float(n == "scale") for n in self.names], device="cpu")
        rows = scales.repeat_interleave(self.hidden).split(
            [len(linear.bias) for linear in self.linears]
        )
        for i, one in enumerate(rows):
            getattr(self, f"one{i}").copy_(one)

    def forward(self, c: Tensor) -> list[Tensor]:
        """Return the modulations, each (B, 1, d), in the order of `names`, for conditions c (B,
        d).
        """
        c = F.silu(c)
        out = []
        for i, linear in enumerate(self.linears):
            rows = F.linear(c, linear.weight, linear.bias + getattr(self, f"one{i}"))
            out += rows.view(len(c), -1, 1, self.hidden).unbind(1)
        return out


class _Block(nn.Module):
    """What the designs share: the layers, and an optional learned scale on each residual branch."""

    branches = 2

    def __init__(
        self,
        hidden: int,
        heads: int,
        mlp: int,
        qk_norm: bool,
        layer_scale: float | None,
        attends: bool = False,
    ) -> None:
        super().__init__()
        self.attn = Attention(hidden, heads, qk_norm)
        self.mlp = Mlp(hidden, mlp)
        self.start_scale = layer_scale
        branches = self.branches + attends
        self.layer_scale = (
            None if layer_scale is None else nn.Parameter(torch.empty(branches, hidden))
        )
        self.cross = CrossAttention(hidden, heads, qk_norm) if attends else None

    def scaled(self, branch: int, out: Tensor) -> Tensor:
        """Return out (B, T, d), multiplied by the learned scale of its branch where the model has
        one.
        """
        return out if self.layer_scale is None else out * self.layer_scale[branch]

    def attended(self, x: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        """Return tokens x (B, T, d) after an adaLN block's look at the context, where the model has
        one.
        """
        return x if self.cross is None else x + self.scaled(2, self.cross(norm(x), context, mask))


class AdaLNZeroBlock(_Block):
    """adaLN-Zero: the identity at the start, for its gates are zero."""

    def forward(
        self,
        x: Tensor,
        c: Sequence[Tensor],
        context: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) and six modulations (B, 1, d)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = c
        x = torch.addcmul(
            x, gate1, self.scaled(0, self.attn(torch.addcmul(shift1, norm(x), scale1)))
        )
        x = self.attended(x, context, mask)
        return torch.addcmul(
            x, gate2, self.scaled(1, self.mlp(torch.addcmul(shift2, norm(x), scale2)))
        )


class AdaLNBlock(_Block):
    """adaLN: LayerNorm's shift and scale are regressed from the condition."""

    def forward(
        self,
        x: Tensor,
        c: Sequence[Tensor],
        context: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) and four modulations (B, 1, d)."""
        shift1, scale1, shift2, scale2 = c
        x = x + self.scaled(0, self.attn(torch.addcmul(shift1, norm(x), scale1)))
        x = self.attended(x, context, mask)
        return x + self.scaled(1, self.mlp(torch.addcmul(shift2, norm(x), scale2)))


class CrossAttentionBlock(_Block):
    """Cross-attention: the tokens look at time and label between self-attention and feed-forward
    layer.
    """

    branches = 3

    def __init__(
        self,
        hidden: int,
        heads: int,
        mlp: int,
        qk_norm: bool,
        layer_scale: float | None,
        attends: bool = False,
    ) -> None:
        super().__init__(hidden, heads, mlp, qk_norm, layer_scale)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(hidden, EPS) for _ in range(3))
        self.cross = CrossAttention(
            hidden, heads, qk_norm
        )  # to a sequence that `attends` may lengthen

    def forward(
        self, x: Tensor, c: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) and conditions c (B, 2 and more, d), `mask` (B, 2
        and more).
        """
        x = x + self.scaled(0, self.attn(self.norm1(x)))
        x = x + self.scaled(1, self.cross(self.norm2(x), c, mask))
        return x + self.scaled(2, self.mlp(self.norm3(x)))


class InContextBlock(_Block):
    """In-context: a plain ViT block; time and label are tokens like any other."""

    def __init__(
        self,
        hidden: int,
        heads: int,
        mlp: int,
        qk_norm: bool,
        layer_scale: float | None,
        attends: bool = False,
    ) -> None:
        super().__init__(hidden, heads, mlp, qk_norm, layer_scale)
        self.norm1 = nn.LayerNorm(hidden, EPS)
        self.norm2 = nn.LayerNorm(hidden, EPS)

    def forward(self, x: Tensor, c: None, context: None = None, mask: None = None) -> Tensor:
        """Return (B, T + 2, d) for tokens x (B, T + 2, d); a continuous condition is a third
        further token.
        """
        x = x + self.scaled(0, self.attn(self.norm1(x)))
        return x + self.scaled(1, self.mlp(self.norm2(x)))


BLOCKS: dict[str, type[_Block]] = {
    "adaln-zero": AdaLNZeroBlock,
    "adaln": AdaLNBlock,
    "cross-attention": CrossAttentionBlock,
    "in-context": InContextBlock,
}
