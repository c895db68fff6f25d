"""The Diffusion Transformer (Peebles & Xie 2023, section 3): an image or latent in, noise and
covariance out.

Shapes: B batch, C channels, H x W input, p patch, T = (H / p)(W / p) tokens, d width, N blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dit_core.model.checks import check_inputs, check_labels
from dit_core.model.condition_embeddings import FurtherConditions
from dit_core.model.conditioning import BLOCKS, EPS, MODULATIONS, Modulation, norm
from dit_core.model.conditions import Given, labels_of
from dit_core.model.embeddings import TimestepEmbedder, fixed_positions
from dit_core.model.tokens import GroupsIn, GroupsOut, patchify, unpatchify
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
        model = science.model
        data = science.data
        d = science.model.hidden
        self.config = model
        self.data = data
        self.hidden = d
        self.patch_shape = science.patch_shape
        self.input_shape = (data.channels, data.height, data.width)
        self.out_shape = (out_channels, data.height, data.width)
        self.null_class = data.classes
        self.grad_checkpoint = grad_checkpoint
        sizes = science.token_sizes
        (ph, pw) = science.patch_shape
        self.grid = (1, len(sizes)) if sizes else (data.height // ph, data.width // pw)

        # A convolution of stride p, written as a product with patches; or a product for each group
        # of features.
        self.x_embedder = GroupsIn(sizes, d) if sizes else nn.Linear(patch_inputs(science), d)
        if model.positions == "learned":
            self.positions = nn.Parameter(torch.empty(science.tokens, d))
        else:
            self.register_buffer("positions", torch.empty(science.tokens, d), persistent=False)
        self.t_embedder = TimestepEmbedder(d, model.time_frequencies)
        self.y_embedder = nn.Embedding(data.classes + 1, d)
        names = MODULATIONS[model.conditioning]
        self.per_block = len(names)
        self.modulation = Modulation(d, model.depth, names) if names else None
        block = BLOCKS[model.conditioning]
        mlp = round(d * model.mlp_ratio)
        self.blocks = nn.ModuleList(
            block(d, model.heads, mlp, model.qk_norm, model.layer_scale, bool(science.sequences))
            for _ in range(model.depth)
        )
        self.final_norm = None if names else nn.LayerNorm(d, EPS)
        self.final = (
            GroupsOut(sizes, d, out_channels) if sizes else nn.Linear(d, ph * pw * out_channels)
        )
        self.further = FurtherConditions(science) if data.conditions else None

    def forward(self, x: Tensor, t: Tensor, y: Given) -> Tensor:
        """Return (B, C_out, H, W), for DDPM with learned covariance C_out = 2C: noise, then the
        covariance's v.

        Raises UserError where x has another shape than the model was built for, or t or y is not
        (B,).
        """
        check_inputs(self.input_shape, x, t, labels_of(y))
        if self.further is not None:
            self.further.check(y)
        label = labels_of(y)
        further = self.further
        v = []
        context = None
        mask = None
        if further is not None:
            x = further.with_map(
                x, y
            )  #                               (B, C + C', H, W) where a map is joined
        x = (
            self.x_embedder(x if self.config.tokens != "patches" else patchify(x, self.patch_shape))
            + self.positions
        )
        # Time, conditions, modulations stay float32 under autocast: they are cheap, and small
        # errors in them are not.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            #       (B, d) each
            t = self.t_embedder(t)
            y_ = self.y_embedder(label)
            if further is not None:
                v, context, mask = (
                    further.vectors(y),
                    *further.sequence(y),
                )  # each (B, d); (B, S, d), (B, S)
            if self.modulation is not None:
                mods = self.modulation(
                    sum(v, t + y_)
                )  #               (6N + 2) or (4N + 2) x (B, 1, d)
        design = self.config.conditioning
        n = self.per_block
        tokens = x.shape[1]
        if design == "in-context":
            x = torch.cat([x, torch.stack([t, y_, *v], dim=1)], dim=1)  # (B, T + 2, d)
        c = torch.stack([t, y_, *v], dim=1) if design == "cross-attention" else None  # (B, 2, d)
        if c is not None and context is not None:
            c, mask = (
                torch.cat([c, context], dim=1),
                F.pad(mask, (c.shape[1], 0), value=True),
            )  # (B, 2 + S, d)
        for i, block in enumerate(self.blocks):
            if n:
                c = mods[i * n : (i + 1) * n]
            if self.grad_checkpoint and torch.is_grad_enabled():
                x = checkpoint(block, x, c, context, mask, use_reentrant=False)
            else:
                x = block(x, c, context, mask)  #                       (B, T, d)
        x = x[
            :, :tokens
        ]  #                                            (B, T, d), condition tokens removed
        x = torch.addcmul(mods[-2], norm(x), mods[-1]) if n else self.final_norm(x)
        x = self.final(x)  #                                            (B, T, p p C_out)
        return (
            x
            if self.config.tokens != "patches"
            else unpatchify(x, self.patch_shape, self.out_shape)
        )

    def check_labels(self, y: Given) -> None:
        """Raise UserError where a label is no class of the model (the null class is one).

        Waits for a GPU.
        """
        check_labels(labels_of(y), self.null_class)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as published (section 4 and 3.2), with numbers from torch's global generator
        of the device.

        Linear layers Xavier uniform with zero bias; label table and time MLP normal with standard
        deviation 0.02; final layer zero; adaLN-Zero's modulations zero, so that each block is the
        identity.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for weight in (
            self.y_embedder.weight,
            self.t_embedder.fc1.weight,
            self.t_embedder.fc2.weight,
        ):
            nn.init.normal_(weight, std=0.02)
        if isinstance(self.positions, nn.Parameter):
            nn.init.normal_(self.positions, std=0.02)
        for block in self.blocks:
            if block.layer_scale is not None:
                nn.init.constant_(block.layer_scale, block.start_scale)
        self._reset_modulation()
        for linear in self.final.modules():
            if isinstance(linear, nn.Linear):
                nn.init.zeros_(linear.weight)
        if self.further is not None:
            self.further.reset_parameters()
            for block in self.blocks if self.modulation is not None else ():
                if block.cross is not None:
                    nn.init.zeros_(
                        block.cross.proj.weight
                    )  # an adaLN-Zero block stays the identity
        self.reset_buffers()

    def _reset_modulation(self) -> None:
        if self.modulation is None:
            return
        rows = self.per_block * self.hidden
        for weight in (linear.weight for linear in self.modulation.linears):
            if self.config.conditioning == "adaln-zero":
                nn.init.zeros_(weight)
                continue
            # The bounds of Xavier's rule are those of one block's layer, not of the stack of
            # several.
            for start in range(0, len(weight), rows):
                nn.init.xavier_uniform_(weight[start : start + rows])

    @torch.no_grad()
    def reset_buffers(self) -> None:
        """Fill the fixed tables (positions, frequencies); for a model whose weights come from a
        file.
        """
        self.t_embedder.reset_buffers()
        if self.modulation is not None:
            self.modulation.reset_buffers()
        if self.further is not None:
            self.further.reset_buffers()
        if not isinstance(self.positions, nn.Parameter):
            self.positions.copy_(fixed_positions(self.config.positions, self.grid, self.hidden))
