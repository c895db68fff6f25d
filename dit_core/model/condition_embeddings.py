"""Conditions besides time and label (not in the paper): a continuous vector, context tokens, a
map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit_core.errors import UserError
from dit_core.model.conditions import Conditions, Given
from dit_core.model.embeddings import SequenceEmbedder, VectorEmbedder, fixed_positions
from dit_core.model.tokens import patchify
from dit_core.study.science.science import Science


class FurtherConditions(nn.Module):
    """What the network makes of each further condition of its data; each has a learned null for
    "not given".

    vector (B, n)         -> one vector (B, d) beside those of time and label
    context (B, M, D)     -> M tokens of a sequence that every block attends to
    map (B, C', h, w)     -> C' more channels of the input, or (h / p)(w / p) tokens of that sequence
    """

    def __init__(self, science: Science) -> None:
        super().__init__()
        model = science.model
        data = science.data
        d = science.model.hidden
        self.patch = (model.patch, model.patch)
        self.shapes = {
            "vector": (data.vector,),
            "context": (data.context_tokens, data.context_width),
            "map": (data.map_channels, data.map_height, data.map_width),
        }
        self.names = data.conditions
        self.input_shape = (data.height, data.width)
        self.vector = VectorEmbedder(data.vector, d) if data.vector else None
        self.context = SequenceEmbedder(data.context_width, d) if data.context_tokens else None
        by_attention = "map" in science.sequences
        self.map = SequenceEmbedder(data.map_channels * model.patch**2, d) if by_attention else None
        joins = data.map_channels and not by_attention
        self.map_null = nn.Parameter(torch.empty(data.map_channels)) if joins else None
        if by_attention:
            self.grid = (data.map_height // model.patch, data.map_width // model.patch)
            self.register_buffer(
                "map_positions", torch.empty(self.grid[0] * self.grid[1], d), persistent=False
            )

    def check(self, given: Given) -> None:
        """Raise UserError naming a condition that is missing or of another shape than the
        network's.
        """
        if not isinstance(given, Conditions):
            raise UserError(
                f"the network takes {', '.join(self.names)} beside labels, but was given labels "
                "alone"
            )
        for name in self.names:
            value: Tensor | None = getattr(given, name)
            if value is None or value.shape != (len(given.label), *self.shapes[name]):
                was = "nothing" if value is None else f"({', '.join(map(str, value.shape))})"
                wanted = ", ".join(map(str, self.shapes[name]))
                raise UserError(
                    f"condition {name!r} must be of shape (batch, {wanted}); was given {was}"
                )
        if given.context is not None and (
            given.mask is None or given.mask.shape != given.context.shape[:2]
        ):
            raise UserError(
                "condition 'context' needs a mask of shape (batch, tokens): True where a token is "
                "there"
            )

    def with_map(self, x: Tensor, given: Conditions) -> Tensor:
        """Return x (B, C, H, W) with the map, enlarged to its size, as further channels; x where
        none is joined.
        """
        if self.map_null is None or given.map is None:
            return x
        off = given.map.flatten(1).isnan().any(1)[:, None, None, None]
        shown = torch.where(off, self.map_null[:, None, None], given.map.nan_to_num(0.0))
        factor = self.input_shape[0] // shown.shape[2]
        if factor > 1:
            shown = shown.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        return torch.cat([x, shown.to(x.dtype)], dim=1)

    def vectors(self, given: Conditions) -> list[Tensor]:
        """Return the conditions that are one vector (B, d) each."""
        return [] if self.vector is None else [self.vector(given.vector)]

    def sequence(self, given: Conditions) -> tuple[Tensor | None, Tensor | None]:
        """Return the sequence to attend to (B, S, d) and which of its tokens are there (B, S); None
        without one.

        A sample whose condition is not given sees its learned null at every token of it.
        """
        parts = []
        masks = []
        if self.context is not None:
            off = ~given.mask.any(1)  #                                      (B,)
            parts.append(self.context(given.context, off))  #                (B, M, d)
            masks.append(given.mask | off[:, None])
        if self.map is not None:
            off = given.map.flatten(1).isnan().any(1)
            part = (
                self.map(patchify(given.map, self.patch), off) + self.map_positions
            )  # (B, (h/p)(w/p), d)
            parts.append(part)
            masks.append(torch.ones(part.shape[:2], dtype=torch.bool, device=part.device))
        return (torch.cat(parts, dim=1), torch.cat(masks, dim=1)) if parts else (None, None)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as time and label are: embeddings and nulls normal with standard deviation
        0.02; joined map 0.
        """
        if self.vector is not None:
            for weight in (self.vector.fc1.weight, self.vector.fc2.weight, self.vector.null):
                nn.init.normal_(weight, std=0.02)
        for embedder in (self.context, self.map):
            if embedder is not None:
                nn.init.normal_(embedder.null, std=0.02)
        if self.map_null is not None:
            nn.init.zeros_(self.map_null)

    @torch.no_grad()
    def reset_buffers(self) -> None:
        """Fill the fixed positions of the map's patches."""
        if self.map is not None:
            self.map_positions.copy_(
                fixed_positions("sincos-2d", self.grid, self.map_positions.shape[1])
            )
