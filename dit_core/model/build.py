"""From a science to its network."""

from __future__ import annotations

from torch import nn

from dit_core.errors import UserError
from dit_core.model.dit import DiT
from dit_core.study.catalogue.designs import design_of
from dit_core.study.price.cost import out_channels
from dit_core.study.science.science import Science
from dit_core.study.science.unet import UNet


def build_model(science: Science, grad_checkpoint: bool = False) -> nn.Module:
    """Return the network of `science`, a `DiT` or a `UNetModel`, freshly initialised.

    Its numbers come from torch's global generator. Under `torch.device("meta")` it has shapes and
    no weights. `grad_checkpoint` recomputes activations in the backward pass: less memory, more
    time, the same numbers. Raises UserError for what the network cannot be.
    """
    model = science.model
    data = science.data
    network: nn.Module
    if isinstance(model, UNet):
        from dit_core.model.unet import UNetModel  # diffusers takes a second to import

        network = UNetModel(model, data, out_channels(science), grad_checkpoint)
    else:
        _check(science)
        network = DiT(science, out_channels(science), grad_checkpoint)
    network.reset_parameters()
    return network


def _check(science: Science) -> None:
    """Raise UserError where a DiT cannot be; a science that was validated always can."""
    model = science.dit
    data = science.data
    design_of(model.conditioning)
    if model.hidden % model.heads:
        raise UserError(f"heads {model.heads} do not divide hidden {model.hidden}")
    if model.tokens == "patches" and (
        data.height % science.patch_shape[0] or data.width % science.patch_shape[1]
    ):
        raise UserError(f"patch {model.patch} does not divide the input {data.height}x{data.width}")
