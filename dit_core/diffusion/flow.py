"""Rectified flow (Liu et al. 2022): paths x_t = (1 - t) x_0 + t noise, velocity noise - x_0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.model.conditions import Given
from dit_core.study.science.science import Flow

Network = Callable[[Tensor, Tensor, Given], Tensor]

# the network sees times on the scale of 1000 timesteps, which its time embedding is made for
TIME_SCALE = 1000.0


@dataclass(frozen=True, slots=True)
class FlowObjective:
    """Mean squared error of the velocity."""

    cfg: Flow

    def out_channels(self, channels: int) -> int:
        """Return C."""
        return channels

    def loss(
        self, model: Network, x0: Tensor, u: Tensor, noise: Tensor, y: Given
    ) -> dict[str, Tensor]:
        """Return "loss" and "mse", each (B,) float32; arguments as in `Objective.loss`."""
        t = times(u, self.cfg.times)
        x_t = torch.lerp(x0, noise, t[:, None, None, None])
        out = model(x_t, t * TIME_SCALE, y).float()
        mse = (out - (noise - x0)).square().flatten(1).mean(1)  # (B,)
        return {"loss": mse, "mse": mse}


def times(u: Tensor, kind: str) -> Tensor:
    """Return times (B,) in [0, 1] with the distribution `kind` for u (B,) uniform in [0, 1).

    Logit-normal (Esser et al. 2024, section 3.1) has location 0 and scale 1: sigmoid of the normal
    quantile of u.
    """
    u = u.float()
    return torch.sigmoid(torch.special.ndtri(u)) if kind == "logit-normal" else u
