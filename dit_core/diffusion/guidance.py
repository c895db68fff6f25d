"""Classifier-free guidance (Ho & Salimans 2021; paper section 3.1, appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.model.conditions import Given, joined, null_like
from dit_core.study.price.steps import is_guided, is_unconditional
from dit_core.study.science.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Guided:
    """The network with guidance: one forward pass per call."""

    model: Callable[[Tensor, Tensor, Given], Tensor]
    sampling: Sampling
    y: Given
    null: Given
    pair: Given

    @classmethod
    def of(
        cls, model: Callable[[Tensor, Tensor, Given], Tensor], sampling: Sampling, y: Given
    ) -> Guided:
        """Return `model` under `sampling`'s guidance for labels or conditions y of B samples.

        Its unconditional half has no condition at all: its `null_class` stands for no label.
        """
        null = y
        if sampling.guidance != 1.0:
            # Both families of networks have a null class; a callable's type cannot say so.
            null = null_like(y, model.null_class)  # type: ignore[attr-defined]
        return cls(model, sampling, y, null, joined(y, null))

    def __call__(self, x: Tensor, t: float, level: float) -> Tensor:
        """Return the network's output (B, C_out, H, W), float32, for samples x at network time t.

        A guided pass has both halves in one batch of 2B. Only the noise is guided: the covariance
        is that of the conditional half.
        """
        B, C = x.shape[:2]
        s = self.sampling
        if not is_guided(s, level):
            return self.model(x, x.new_full((B,), t), self.y).float()
        if is_unconditional(s, C):
            return self.model(x, x.new_full((B,), t), self.null).float()
        out = self.model(torch.cat([x, x]), x.new_full((2 * B,), t), self.pair).float()
        conditional, unconditional = out.chunk(2)
        n = min(3, C) if s.guidance_channels == "first-3" else C
        guided = torch.lerp(unconditional[:, :n], conditional[:, :n], s.guidance)
        return torch.cat([guided, conditional[:, n:]], dim=1)
