"""The Diffusion Transformer (Peebles & Xie 2023, section 3): image in, noise and covariance out.

Shapes: B batch, C channels, H x W input, p patch, T = (H / p)(W / p) tokens, d width, N blocks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dit_core.model.checks import check_inputs, check_labels
from dit_core.model.condition_embeddings import FurtherConditions
from dit_core.model.conditioning import BLOCKS, Block, BlockShape, Embedded
from dit_core.model.conditions import Conditions, Given, labels_of
from dit_core.model.embeddings import TimestepEmbedder, fixed_positions
from dit_core.model.modulation import EPS, Modulation, modulated
from dit_core.model.tokens import GroupsIn, GroupsOut, patchify, unpatchify
from dit_core.study.catalogue.designs import design_of
from dit_core.study.price.cost_conditions import patch_inputs
from dit_core.study.science.science import Science


class DiT(nn.Module):
    """model(x (B, C, H, W), t (B,), y (B,)) -> (B, C_out, H, W).

    `t` counts in training timesteps (a flow's time in [0, 1] is multiplied by 1000 by its
    objective); `y` holds class numbers, `null_class` stands for "no label"; where the data have
    further conditions, y is `Conditions`. Built without weights: `reset_parameters` gives the
    published initialisation.
    """

    def __init__(self, science: Science, out_channels: int, grad_checkpoint: bool = False) -> None:
        super().__init__()
        model = science.dit
        data = science.data
        d = model.hidden
        self.config = model
        self.hidden = d
        self.patch_shape = science.patch_shape
        self.input_shape = (data.channels, data.height, data.width)
        self.out_shape = (out_channels, data.height, data.width)
        self.null_class = data.classes
        self.grad_checkpoint = grad_checkpoint
        design = design_of(model.conditioning)
        sizes = science.token_sizes
        (ph, pw) = science.patch_shape
        self.in_patches = not sizes
        self.grid = (1, len(sizes)) if sizes else (data.height // ph, data.width // pw)

        # A convolution of stride p, written as a product with patches; or a product for each group
        # of features. The order of the parts is that in which weights are drawn.
        self.x_embedder = GroupsIn(sizes, d) if sizes else nn.Linear(patch_inputs(science), d)
        if model.positions == "learned":
            self.positions: Tensor = nn.Parameter(torch.empty(science.tokens, d))
        else:
            self.register_buffer("positions", torch.empty(science.tokens, d), persistent=False)
        self.t_embedder = TimestepEmbedder(d, model.time_frequencies)
        self.y_embedder = nn.Embedding(data.classes + 1, d)
        names = design.modulations
        self.modulation = Modulation(d, model.depth, names) if names else None
        self.design = BLOCKS[design.name]
        shape = BlockShape(
            hidden=d,
            heads=model.heads,
            mlp=round(d * model.mlp_ratio),
            qk_norm=model.qk_norm,
            layer_scale=model.layer_scale,
            attends=bool(science.sequences),
        )
        self.blocks = nn.ModuleList(self.design(shape) for _ in range(model.depth))
        self.final_norm = None if names else nn.LayerNorm(d, EPS)
        self.final = (
            GroupsOut(sizes, d, out_channels) if sizes else nn.Linear(d, ph * pw * out_channels)
        )
        self.further = FurtherConditions(science) if data.conditions else None

    def forward(self, x: Tensor, t: Tensor, y: Given) -> Tensor:
        """Return (B, C_out, H, W); C_out = 2C with a learned covariance: noise, then its v.

        Raises UserError where x has another shape than the model was built for, or t or y is not
        (B,).
        """
        given = self._checked(x, t, y)
        x = self.embedded(x, given)  #                                 (B, T, d)
        T = x.shape[1]
        # Time, conditions and modulations stay float32 under autocast: they are cheap, and small
        # errors in them are not.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            e = Embedded(x, [self.t_embedder(t), self.y_embedder(given.label)])  # 2 x (B, d)
            if self.further is not None:
                e = self.further.added(e, given)  #                    3 x (B, d), (B, S, d), (B, S)
            x, cs, context, mask, final = self.design.enter(e, self.modulation, len(self.blocks))
        for block, c in zip(self.blocks, cs, strict=True):
            x = self._run(block, x, c, context, mask)  #               (B, T, d)
        x = x[:, :T]  #                                                (B, T, d), no conditions
        x = modulated(x, *final) if self.final_norm is None else self.final_norm(x)
        x = self.final(x)  #                                           (B, T, p p C_out)
        return unpatchify(x, self.patch_shape, self.out_shape) if self.in_patches else x

    def embedded(self, x: Tensor, given: Conditions) -> Tensor:
        """Return the tokens (B, T, d) of x (B, C, H, W), with their positions."""
        if self.further is not None:
            x = self.further.with_map(x, given)  #                     (B, C + C', H, W)
        if self.in_patches:
            x = patchify(x, self.patch_shape)  #                       (B, T, C p p)
        tokens: Tensor = self.x_embedder(x) + self.positions
        return tokens

    def _run(self, block: nn.Module, x: Tensor, *conditions: Any) -> Tensor:
        """Return a block's tokens, keeping its input alone for the backward pass if so wished."""
        if self.grad_checkpoint and torch.is_grad_enabled():
            out: Tensor = checkpoint(block, x, *conditions, use_reentrant=False)
        else:
            out = block(x, *conditions)
        return out

    def _checked(self, x: Tensor, t: Tensor, y: Given) -> Conditions:
        check_inputs(self.input_shape, x, t, labels_of(y))
        if self.further is not None:
            self.further.check(y)
        return y if isinstance(y, Conditions) else Conditions(y)

    def check_labels(self, y: Given) -> None:
        """Raise UserError where a label is no class of the model (the null class is one).

        Waits for a GPU.
        """
        check_labels(labels_of(y), self.null_class)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as published (sections 3.2 and 4) from torch's global generator.

        Linear layers Xavier uniform with zero bias; label table and time MLP normal with standard
        deviation 0.02; final layer zero; adaLN-Zero's modulations zero, so that each block is the
        identity.
        """
        for module in self.modules():
            _reset_layer(module)
        time = self.t_embedder
        for weight in (self.y_embedder.weight, time.fc1.weight, time.fc2.weight):
            nn.init.normal_(weight, std=0.02)
        if isinstance(self.positions, nn.Parameter):
            nn.init.normal_(self.positions, std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.reset_branches()
        if self.modulation is not None:
            self.modulation.reset_parameters(zero=design_of(self.config.conditioning).gated)
        for linear in self.final.modules():
            if isinstance(linear, nn.Linear):
                nn.init.zeros_(linear.weight)
        if self.further is not None:
            self.further.reset_parameters()
        self.reset_buffers()

    @torch.no_grad()
    def reset_buffers(self) -> None:
        """Fill the fixed tables: positions, frequencies; for weights that come from a file."""
        self.t_embedder.reset_buffers()
        if self.modulation is not None:
            self.modulation.reset_buffers()
        if self.further is not None:
            self.further.reset_buffers()
        if not isinstance(self.positions, nn.Parameter):
            self.positions.copy_(fixed_positions(self.config.positions, self.grid, self.hidden))


def _reset_layer(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
