"""The Diffusion Transformer (Peebles & Xie 2023, section 3): an image or latent in, noise and covariance out.

Shapes: B batch, C channels, H x W input, p patch, T = (H / p)(W / p) tokens, d width, N blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dit_core.errors import UserError
from dit_core.model.conditioning import BLOCKS, EPS, MODULATIONS, Modulation, norm
from dit_core.model.embeddings import TimestepEmbedder, sincos_1d, sincos_2d
from dit_core.study.science import Data, Model


class DiT(nn.Module):
    """model(x (B, C, H, W), t (B,), y (B,)) -> (B, C_out, H, W).

    `t` counts in training timesteps (a flow's time in [0, 1] is multiplied by 1000 by its objective); `y` holds class
    numbers, `null_class` stands for "no label". Built without weights: `reset_parameters` gives the published
    initialisation.
    """

    def __init__(self, model: Model, data: Data, out_channels: int, grad_checkpoint: bool = False) -> None:
        super().__init__()
        d, p, C = model.hidden, model.patch, data.channels
        self.config, self.patch, self.hidden = model, p, d
        self.input_shape = (C, data.height, data.width)
        self.grid = (data.height // p, data.width // p)
        self.out_channels, self.null_class = out_channels, data.classes
        self.grad_checkpoint = grad_checkpoint
        tokens = self.grid[0] * self.grid[1]

        self.x_embedder = nn.Linear(C * p * p, d)  # a convolution of stride p, written as a product with patches
        if model.positions == "learned":
            self.positions = nn.Parameter(torch.empty(tokens, d))
        else:
            self.register_buffer("positions", torch.empty(tokens, d), persistent=False)
        self.t_embedder = TimestepEmbedder(d, model.time_frequencies)
        self.y_embedder = nn.Embedding(data.classes + 1, d)
        names = MODULATIONS[model.conditioning]
        self.per_block = len(names)
        self.modulation = Modulation(d, model.depth, names) if names else None
        block, mlp = BLOCKS[model.conditioning], round(d * model.mlp_ratio)
        self.blocks = nn.ModuleList(
            block(d, model.heads, mlp, model.qk_norm, model.layer_scale) for _ in range(model.depth)
        )
        self.final_norm = None if names else nn.LayerNorm(d, EPS)
        self.final = nn.Linear(d, p * p * out_channels)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return (B, C_out, H, W), for DDPM with learned covariance C_out = 2C: noise, then the covariance's v.

        Raises UserError where x has another shape than the model was built for, or t or y is not (B,).
        """
        self._check(x, t, y)
        B = x.shape[0]
        x = self.x_embedder(self.patchify(x)) + self.positions  #       (B, T, d)
        # Time, label and modulations stay float32 under autocast: they are cheap, and small errors in them are not.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            t, y = self.t_embedder(t), self.y_embedder(y)  #            (B, d) each
            if self.modulation is not None:
                mods = self.modulation(t + y)  #                        (6N + 2) or (4N + 2) x (B, 1, d)
        design, n = self.config.conditioning, self.per_block
        tokens = x.shape[1]
        if design == "in-context":
            x = torch.cat([x, torch.stack([t, y], dim=1)], dim=1)  #    (B, T + 2, d)
        c = torch.stack([t, y], dim=1) if design == "cross-attention" else None  # (B, 2, d)
        for i, block in enumerate(self.blocks):
            if n:
                c = mods[i * n : (i + 1) * n]
            if self.grad_checkpoint and torch.is_grad_enabled():
                x = checkpoint(block, x, c, use_reentrant=False)
            else:
                x = block(x, c)  #                                      (B, T, d)
        x = x[:, :tokens]  #                                            (B, T, d), condition tokens removed
        x = torch.addcmul(mods[-2], norm(x), mods[-1]) if n else self.final_norm(x)
        return self.unpatchify(self.final(x), B)  #                     (B, C_out, H, W)

    def patchify(self, x: Tensor) -> Tensor:
        """Return (B, T, C p p) patches in reading order for x (B, C, H, W)."""
        (C, H, W), p = self.input_shape, self.patch
        if p == 1:
            return x.flatten(2).transpose(1, 2)
        x = x.reshape(-1, C, H // p, p, W // p, p)
        return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, (H // p) * (W // p), C * p * p)

    def unpatchify(self, x: Tensor, B: int) -> Tensor:
        """Return (B, C_out, H, W) for patches x (B, T, p p C_out)."""
        (_, H, W), p = self.input_shape, self.patch
        if p == 1:
            return x.transpose(1, 2).reshape(B, self.out_channels, H, W)
        x = x.view(B, H // p, W // p, p, p, self.out_channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(B, self.out_channels, H, W)

    def _check(self, x: Tensor, t: Tensor, y: Tensor) -> None:
        if x.shape[1:] != self.input_shape:
            raise UserError(f"the network takes (batch, {_by(self.input_shape)}), but was given ({_by(x.shape)})")
        if t.shape != x.shape[:1] or y.shape != x.shape[:1]:
            raise UserError(
                f"times and labels must be of shape ({x.shape[0]},), one per sample; got times ({_by(t.shape)}) "
                f"and labels ({_by(y.shape)})"
            )

    def check_labels(self, y: Tensor) -> None:
        """Raise UserError where a label is no class of the model (the null class is one). Waits for a GPU."""
        wrong = y[(y < 0) | (y > self.null_class)]
        if wrong.numel():
            raise UserError(
                f"label {int(wrong[0])} is out of range: classes are 0 to {self.null_class - 1}, "
                f"and {self.null_class} is the null class"
            )

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as published (section 4 and 3.2), with numbers from torch's global generator of the device.

        Linear layers Xavier uniform with zero bias; label table and time MLP normal with standard deviation 0.02;
        final layer zero; adaLN-Zero's modulations zero, so that each block is the identity.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for weight in (self.y_embedder.weight, self.t_embedder.fc1.weight, self.t_embedder.fc2.weight):
            nn.init.normal_(weight, std=0.02)
        if isinstance(self.positions, nn.Parameter):
            nn.init.normal_(self.positions, std=0.02)
        for block in self.blocks:
            if block.layer_scale is not None:
                nn.init.constant_(block.layer_scale, block.start_scale)
        self._reset_modulation()
        nn.init.zeros_(self.final.weight)
        self.reset_buffers()

    def _reset_modulation(self) -> None:
        if self.modulation is None:
            return
        rows = self.per_block * self.hidden
        for weight in (linear.weight for linear in self.modulation.linears):
            if self.config.conditioning == "adaln-zero":
                nn.init.zeros_(weight)
                continue
            # The bounds of Xavier's rule are those of one block's layer, not of the stack of several.
            for start in range(0, len(weight), rows):
                nn.init.xavier_uniform_(weight[start : start + rows])

    @torch.no_grad()
    def reset_buffers(self) -> None:
        """Fill the fixed tables (positions, frequencies); for a model whose weights come from a file."""
        self.t_embedder.reset_buffers()
        if self.modulation is not None:
            self.modulation.reset_buffers()
        if not isinstance(self.positions, nn.Parameter):
            self.positions.copy_(fixed_positions(self.config.positions, self.grid, self.hidden))


def fixed_positions(kind: str, grid: tuple[int, int], d: int) -> Tensor:
    """Return the fixed table (rows * columns, d), float32 on the CPU, of the position embedding `kind`."""
    rows, columns = grid
    with torch.device("cpu"):
        if kind == "none":
            return torch.zeros(rows * columns, d)
        if kind == "sincos-2d":
            return sincos_2d(rows, columns, d).float()
        table = sincos_1d(torch.arange(rows * columns), d).float()
        return F.pad(table, (0, d - table.shape[1]))


def _by(shape: tuple[int, ...] | torch.Size) -> str:
    return ", ".join(map(str, shape))
