"""The U-Net baseline: diffusers' `UNet2DModel` behind the call that the Transformer has."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from dit_core.model.checks import check_inputs, check_labels
from dit_core.study.science.data import Data
from dit_core.study.science.unet import UNet


class UNetModel(nn.Module):
    """model(x (B, C, H, W), t (B,), y (B,)) -> (B, C_out, H, W).

    Time and label are summed and enter every residual block as scale and shift of its second norm,
    as in ADM (Dhariwal & Nichol 2021), whose frequencies of the time embedding are those of the
    Transformer here. `y` holds class numbers, `null_class` stands for "no label". Built without
    weights: `reset_parameters` gives a start.
    """

    def __init__(
        self, model: UNet, data: Data, out_channels: int, grad_checkpoint: bool = False
    ) -> None:
        super().__init__()
        self.config = model
        self.out_channels = out_channels
        self.null_class = data.classes
        self.input_shape = (data.channels, data.height, data.width)
        # No random number is drawn for weights that `reset_parameters` makes.
        with torch.device("meta"):
            net: Any = UNet2DModel(
                sample_size=(data.height, data.width),
                in_channels=data.channels,
                out_channels=out_channels,
                block_out_channels=model.widths,
                layers_per_block=model.layers,
                down_block_types=tuple(
                    "AttnDownBlock2D" if on else "DownBlock2D" for on in model.attended
                ),
                up_block_types=tuple(
                    "AttnUpBlock2D" if on else "UpBlock2D" for on in reversed(model.attended)
                ),
                add_attention=model.attention != "none",
                attention_head_dim=model.head_channels,
                norm_num_groups=model.groups,
                attn_norm_num_groups=model.groups,
                resnet_time_scale_shift="scale_shift",
                num_class_embeds=data.classes + 1,
            )
        self.net: Any = net
        if grad_checkpoint:
            net.enable_gradient_checkpointing()
        net.to_empty(device=torch.empty(0).device)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return (B, C_out, H, W); C_out = 2C with a learned covariance: noise, then its v.

        Raises UserError where x has another shape than the model was built for, or t or y is not
        (B,).
        """
        check_inputs(self.input_shape, x, t, y)
        out: Tensor = self.net(x, t, y, return_dict=False)[0]
        return out

    def check_labels(self, y: Tensor) -> None:
        """Raise UserError where a label is no class of the model (the null class is one).

        Waits for a GPU.
        """
        check_labels(y, self.null_class)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise from torch's global generator, in the order of the layers.

        Every layer starts as torch starts it, but that the last convolution and the last layer of
        every residual and attention branch are zero, as in ADM: each branch is the identity, and
        the network's first answer is zero.
        """
        for module in self.net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.GroupNorm | nn.Embedding):
                module.reset_parameters()
        branches = [m for m in self.net.modules() if hasattr(m, "conv2") or hasattr(m, "to_out")]
        for last in (
            self.net.conv_out,
            *(m.conv2 if hasattr(m, "conv2") else m.to_out[0] for m in branches),
        ):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def reset_buffers(self) -> None:
        """Do nothing: this network has no fixed tables to fill."""
