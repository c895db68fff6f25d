"""The four ways in which time and label enter a block (paper section 3.2, figure 3).

A block takes tokens x (B, T, d) and its own condition c, and returns tokens (B, T, d):

    design            c                                       added to a plain ViT block
    in-context        none: t and y are two more tokens       nothing
    cross-attention   (B, 2, d): t and y as a sequence        an attention from x to c
    adaln             4 x (B, 1, d): shift, scale, twice      LayerNorms without weights, modulated
    adaln-zero        6 x (B, 1, d): shift, scale, gate,      ditto, and a gate on each residual
                      twice                                   branch, which is zero at the start

Where the data have context tokens or a map to attend to, `context` (B, S, d), the two adaLN designs
gain an attention from x to it after the self-attention, whose result starts at zero; in the
cross-attention design it lengthens c.

A design is a row of `dit_core/study/catalogue/designs.py` and a class here, whose `enter` makes the
conditions of all blocks out of the embedded vectors.

A scale arrives with its one already added (`Modulation` does so for all blocks at once), so that
modulating is a single fused multiply-add: shift + norm(x) * (1 + scale).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dit_core.model.layers import Attention, CrossAttention, Mlp
from dit_core.model.modulation import EPS, Modulation, modulated, norm

Modulations = Sequence[Tensor]
"""Shift, scale and gate, each (B, 1, d), with the "1 +" of a scale already added."""


class Embedded(NamedTuple):
    """Tokens and conditions of one forward pass, before they meet."""

    x: Tensor
    """Tokens (B, T, d)."""
    vectors: Sequence[Tensor]
    """Time, label and, where the data have one, continuous condition, (B, d) each."""
    context: Tensor | None = None
    """Sequence that all blocks attend to (B, S, d)."""
    mask: Tensor | None = None
    """Which tokens of the sequence are there (B, S)."""


class Conditioned(NamedTuple):
    """What one forward pass sends into the blocks."""

    x: Tensor
    """Tokens (B, T, d), or (B, T + 2, d) where conditions are tokens."""
    blocks: Sequence[Modulations | Tensor | None]
    """The condition c of each block."""
    context: Tensor | None
    """Sequence that all blocks attend to (B, S, d)."""
    mask: Tensor | None
    """Which tokens of the sequence are there (B, S)."""
    final: Modulations = ()
    """Shift and scale of the last norm; nothing where it has weights of its own."""


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What a block is built from."""

    hidden: int
    """Width d of a token."""
    heads: int
    """Attention heads."""
    mlp: int
    """Width of the feed-forward layer."""
    qk_norm: bool
    """Normalise queries and keys."""
    layer_scale: float | None
    """Start value of the learned scale on each residual branch; None is no scale."""
    attends: bool = False
    """The data have a sequence to attend to."""


class Block(nn.Module):
    """What the designs share: the layers, and an optional learned scale on each residual branch."""

    branches: ClassVar[int] = 2

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape = shape
        self.attn = Attention(shape.hidden, shape.heads, shape.qk_norm)
        self.mlp = Mlp(shape.hidden, shape.mlp)
        self.layer_scale: nn.Parameter | None = None
        if shape.layer_scale is not None:
            branches = self.branches + shape.attends
            self.layer_scale = nn.Parameter(torch.empty(branches, shape.hidden))
        self.cross = self._cross() if shape.attends else None

    @staticmethod
    def enter(given: Embedded, modulation: Modulation | None, depth: int) -> Conditioned:
        """Return the tokens and the conditions of all `depth` blocks."""
        raise NotImplementedError

    @torch.no_grad()
    def reset_branches(self) -> None:
        """Set the learned scales of the residual branches to their start value."""
        if self.layer_scale is not None and self.shape.layer_scale is not None:
            nn.init.constant_(self.layer_scale, self.shape.layer_scale)

    def scaled(self, branch: int, out: Tensor) -> Tensor:
        """Return out (B, T, d) times the learned scale of its branch, where the model has one."""
        return out if self.layer_scale is None else out * self.layer_scale[branch]

    def _cross(self) -> CrossAttention:
        return CrossAttention(self.shape.hidden, self.shape.heads, self.shape.qk_norm)


class _Modulated(Block):
    """What the two adaLN designs share: one condition vector, regressed to modulations."""

    @staticmethod
    def enter(given: Embedded, modulation: Modulation | None, depth: int) -> Conditioned:
        """Return the tokens as they are, and the modulations of the sum of the vectors."""
        assert modulation is not None, "an adaLN design has modulations"
        c = functools.reduce(torch.add, given.vectors)  #        (B, d)
        mods = modulation(c)  #                                  (6N + 2) or (4N + 2) x (B, 1, d)
        n = modulation.per_block
        blocks = [mods[i * n : (i + 1) * n] for i in range(depth)]
        return Conditioned(given.x, blocks, given.context, given.mask, mods[depth * n :])

    def reset_branches(self) -> None:
        """Also set the attention to a sequence to zero: an adaLN-Zero block stays the identity."""
        super().reset_branches()
        if self.cross is not None:
            nn.init.zeros_(self.cross.proj.weight)

    def attended(self, x: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        """Return tokens x (B, T, d) after their attention to the context, where there is one."""
        return x if self.cross is None else x + self.scaled(2, self.cross(norm(x), context, mask))


class AdaLNZeroBlock(_Modulated):
    """adaLN-Zero: the identity at the start, since its gates are zero."""

    def forward(
        self,
        x: Tensor,
        c: Modulations,
        context: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) and six modulations (B, 1, d)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = c
        out = self.scaled(0, self.attn(modulated(x, shift1, scale1)))
        x = torch.addcmul(x, gate1, out)
        x = self.attended(x, context, mask)
        out = self.scaled(1, self.mlp(modulated(x, shift2, scale2)))
        return torch.addcmul(x, gate2, out)


class AdaLNBlock(_Modulated):
    """adaLN: LayerNorm's shift and scale are regressed from the condition."""

    def forward(
        self,
        x: Tensor,
        c: Modulations,
        context: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d) and four modulations (B, 1, d)."""
        shift1, scale1, shift2, scale2 = c
        x = x + self.scaled(0, self.attn(modulated(x, shift1, scale1)))
        x = self.attended(x, context, mask)
        return x + self.scaled(1, self.mlp(modulated(x, shift2, scale2)))


class CrossAttentionBlock(Block):
    """Cross-attention: tokens attend to time and label between attention and feed-forward layer."""

    branches = 3
    cross: CrossAttention

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(replace(shape, attends=False))  # a sequence lengthens c instead
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(shape.hidden, EPS) for _ in range(3))
        self.cross = self._cross()

    @staticmethod
    def enter(given: Embedded, modulation: Modulation | None, depth: int) -> Conditioned:
        """Return the tokens as they are, and the vectors as a sequence, before that of the data."""
        c = torch.stack(list(given.vectors), dim=1)  #           (B, 2, d)
        mask = given.mask
        if given.context is not None and mask is not None:
            mask = F.pad(mask, (c.shape[1], 0), value=True)  #   (B, 2 + S)
            c = torch.cat([c, given.context], dim=1)  #          (B, 2 + S, d)
        return Conditioned(given.x, [c] * depth, None, mask)

    def forward(
        self, x: Tensor, c: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return (B, T, d) for tokens x (B, T, d), conditions c (B, 2 + S, d), mask (B, 2 + S)."""
        x = x + self.scaled(0, self.attn(self.norm1(x)))
        x = x + self.scaled(1, self.cross(self.norm2(x), c, mask))
        return x + self.scaled(2, self.mlp(self.norm3(x)))


class InContextBlock(Block):
    """In-context: a plain ViT block; time and label are tokens like any other."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(shape)
        self.norm1 = nn.LayerNorm(shape.hidden, EPS)
        self.norm2 = nn.LayerNorm(shape.hidden, EPS)

    @staticmethod
    def enter(given: Embedded, modulation: Modulation | None, depth: int) -> Conditioned:
        """Return the tokens followed by the vectors, each one more token."""
        more = torch.stack(list(given.vectors), dim=1)  #        (B, 2, d)
        x = torch.cat([given.x, more], dim=1)  #                 (B, T + 2, d)
        return Conditioned(x, [None] * depth, None, None)

    def forward(self, x: Tensor, c: None, context: None = None, mask: None = None) -> Tensor:
        """Return (B, T + 2, d) for tokens x (B, T + 2, d), those of the conditions among them."""
        x = x + self.scaled(0, self.attn(self.norm1(x)))
        return x + self.scaled(1, self.mlp(self.norm2(x)))


BLOCKS: dict[str, type[Block]] = {
    "adaln-zero": AdaLNZeroBlock,
    "adaln": AdaLNBlock,
    "cross-attention": CrossAttentionBlock,
    "in-context": InContextBlock,
}
