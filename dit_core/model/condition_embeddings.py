"""Conditions besides time and label (not in the paper): a vector, context tokens, a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dit_core.errors import UserError
from dit_core.model.conditioning import Embedded
from dit_core.model.conditions import Conditions, Given
from dit_core.model.embeddings import SequenceEmbedder, VectorEmbedder, fixed_positions
from dit_core.model.tokens import patchify
from dit_core.study.science.science import Science


class FurtherConditions(nn.Module):
    """What the network makes of each further condition; a learned null stands for "not given".

    vector (B, n)       -> one vector (B, d) beside those of time and label
    context (B, M, D)   -> M tokens of a sequence that every block attends to
    map (B, C', h, w)   -> C' more input channels, or (h / p)(w / p) tokens of that sequence
    """

    map_positions: Tensor

    def __init__(self, science: Science) -> None:
        super().__init__()
        model = science.dit
        data = science.data
        d = model.hidden
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
        self.grid = (data.map_height // model.patch, data.map_width // model.patch)
        if by_attention:
            table = torch.empty(self.grid[0] * self.grid[1], d)
            self.register_buffer("map_positions", table, persistent=False)

    def check(self, given: Given) -> None:
        """Raise UserError naming a condition that is missing or has another shape."""
        if not isinstance(given, Conditions):
            names = ", ".join(self.names)
            raise UserError(f"the network takes {names} beside labels, but was given labels alone")
        for name in self.names:
            value: Tensor | None = getattr(given, name)
            if value is None or value.shape != (len(given.label), *self.shapes[name]):
                was = "nothing" if value is None else f"({', '.join(map(str, value.shape))})"
                wanted = ", ".join(map(str, self.shapes[name]))
                raise UserError(
                    f"condition {name!r} must be of shape (batch, {wanted}); was given {was}"
                )
        if given.context is None:
            return
        if given.mask is None or given.mask.shape != given.context.shape[:2]:
            raise UserError(
                "condition 'context' needs a mask of shape (batch, tokens): True where a token is "
                "present"
            )

    def with_map(self, x: Tensor, given: Conditions) -> Tensor:
        """Return x (B, C, H, W) with the map, enlarged to its size, as further channels.

        Returns x itself where no map is joined.
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
        """Return the sequence to attend to (B, S, d) and which of its tokens are present (B, S).

        Both are None where the network has no sequence. A sample whose condition is not given sees
        its learned null at every token of it.
        """
        parts: list[Tensor] = []
        masks: list[Tensor] = []
        if self.context is not None and given.context is not None and given.mask is not None:
            off = ~given.mask.any(1)  #                                 (B,)
            parts.append(self.context(given.context, off))  #           (B, M, d)
            masks.append(given.mask | off[:, None])  #                  (B, M)
        if self.map is not None and given.map is not None:
            off = given.map.flatten(1).isnan().any(1)  #                (B,)
            part = self.map(patchify(given.map, self.patch), off)  #    (B, (h/p)(w/p), d)
            parts.append(part + self.map_positions)
            masks.append(torch.ones(part.shape[:2], dtype=torch.bool, device=part.device))
        return (torch.cat(parts, dim=1), torch.cat(masks, dim=1)) if parts else (None, None)

    def added(self, embedded: Embedded, given: Conditions) -> Embedded:
        """Return what was embedded with the vector and the sequence of the given conditions."""
        context, mask = self.sequence(given)
        return Embedded(embedded.x, [*embedded.vectors, *self.vectors(given)], context, mask)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as time and label: normal, deviation 0.02; the joined map's null is zero."""
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
            hidden = self.map_positions.shape[1]
            self.map_positions.copy_(fixed_positions("sincos-2d", self.grid, hidden))
