"""Sciences that the tests of the network share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dit_core.study.catalogue import designs
from dit_core.study.science.science import SIZES, Data, Ddpm, Flow, Model, Science, Train
from dit_core.study.science.unet import UNet

DESIGNS = tuple(designs.DESIGNS)
LATENT = Data(
    name="imagenet", kind="latents", channels=4, height=32, width=32, classes=1000, images=1281167
)


def small(data: Data | None = None, objective: Ddpm | Flow | None = None, **model: Any) -> Science:
    """Return a network of two blocks, 48 wide, on 8 x 8 digits unless told otherwise."""
    return Science(
        model=Model(**{"depth": 2, "hidden": 48, "heads": 2, "patch": 2, **model}),
        data=data or Data(),
        objective=objective or Ddpm(),
        train=Train(images=640, batch=64),
    )


def published(size: str, patch: int, side: int = 32, conditioning: str = "adaln-zero") -> Science:
    """Return one of the paper's networks on latents of `side` x `side`."""
    depth, hidden, heads = SIZES[size]
    data = LATENT.model_copy(update={"height": side, "width": side})
    model = Model(depth=depth, hidden=hidden, heads=heads, patch=patch, conditioning=conditioning)
    return Science(
        model=model, data=data, objective=Ddpm(), train=Train(images=256 * 400_000, batch=256)
    )


def shaken(network: nn.Module, std: float = 0.05, seed: int = 0) -> nn.Module:
    """Fill every parameter with normal numbers, so that nothing is zero and no branch is silent."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
    return network


def inputs(
    science: Science, batch: int = 3, seed: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return x, t and y for `science`'s network; the last label is the null class."""
    generator = torch.Generator().manual_seed(seed)
    data = science.data
    x = torch.randn(batch, data.channels, data.height, data.width, generator=generator)
    t = torch.randint(0, 1000, (batch,), generator=generator).float()
    y = torch.randint(0, data.classes, (batch,), generator=generator)
    y[-1] = data.classes
    return x, t, y


def unet(data: Data | None = None, objective: Ddpm | Flow | None = None, **model: Any) -> Science:
    """Return a U-Net of two levels, 8 channels wide, on 8 x 8 digits unless told otherwise."""
    return Science(
        model=UNet(**{"channels": 8, "layers": 1, "groups": 4, "head_channels": 4, **model}),
        data=data or Data(),
        objective=objective or Ddpm(),
        train=Train(images=640, batch=64),
    )
