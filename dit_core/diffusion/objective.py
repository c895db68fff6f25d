"""Training objectives: noise and covariance of a diffusion, or the velocity of a flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dit_core.diffusion.flow import FlowObjective, Network
from dit_core.diffusion.gaussian import discrete_nll, log_variance, normal_kl, training_rows
from dit_core.model.conditions import Given
from dit_core.study.science.science import Ddpm, Flow


class Objective(Protocol):
    """A training objective."""

    def out_channels(self, channels: int) -> int:
        """Return the channels the network must return for samples of `channels` channels."""

    def loss(
        self, model: Network, x0: Tensor, u: Tensor, noise: Tensor, y: Given
    ) -> dict[str, Tensor]:
        """Return "loss" and its terms, each (B,) float32, for samples x0 (B, C, H, W).

        `x0` is in the network's range, `u` (B,) in [0, 1) addresses the time, `noise` (B, C, H, W)
        is standard normal, `y` are labels (B,) or conditions of B samples.
        """


@dataclass(frozen=True, slots=True)
class DdpmObjective:
    """L_simple, and with a learned covariance the full variational term (paper section 3.1)."""

    cfg: Ddpm

    def out_channels(self, channels: int) -> int:
        """Return 2C with a learned covariance, else C."""
        return 2 * channels if self.cfg.learn_sigma else channels

    def loss(
        self, model: Network, x0: Tensor, u: Tensor, noise: Tensor, y: Given
    ) -> dict[str, Tensor]:
        """Return "loss", "mse" and, with a learned covariance, "vb", each (B,) float32."""
        T = self.cfg.timesteps
        # u < 1, yet u * T may round up to T in float32.
        t = (u.double() * T).long().clamp_(max=T - 1)
        row = training_rows(self.cfg, t)
        x_t = torch.addcmul(row["sqrt_abar"] * x0, row["sqrt_1m_abar"], noise)
        out = model(x_t, t.to(x0.dtype), y).float()
        error = out[:, : x0.shape[1]] - noise  #                  (B, C, H, W)
        squared = error.square()
        mse = squared.flatten(1).mean(1)  #                       (B,)
        if not self.cfg.learn_sigma:
            return {"loss": mse, "mse": mse}
        log_var = log_variance(out[:, x0.shape[1] :], row)  #     (B, C, H, W)
        vb = _variational(x0, error.detach(), squared.detach(), log_var, t, row)
        return {"loss": mse + vb, "mse": mse, "vb": vb}


def make_objective(cfg: Ddpm | Flow) -> Objective:
    """Return the objective that `cfg` describes."""
    return DdpmObjective(cfg) if isinstance(cfg, Ddpm) else FlowObjective(cfg)


def _variational(
    x0: Tensor,
    error: Tensor,
    squared: Tensor,
    log_var: Tensor,
    t: Tensor,
    row: dict[str, Tensor],
) -> Tensor:
    """Return the variational term (B,) in bits per element.

    It is KL(q || p) for t > 0 and -log p(x0 | x1) for t = 0. The means of q and p differ by
    eps_in_mean times the error of epsilon, and at t = 0 so do x0 and the mean of p: no x0 need be
    predicted. `error` and `squared` come without gradient: this term trains the covariance alone.
    """
    distance = squared * row["eps_in_mean"].square()
    nats = normal_kl(distance, row["log_posterior"], log_var).flatten(1).mean(1)
    first = t == 0
    if x0.device.type == "cpu" and not torch.compiler.is_compiling():
        # Few rows are at t = 0, most often none: on a CPU looking costs less than computing them
        # all.
        rows = first.nonzero().flatten()
        if rows.numel():
            centred = error[rows] * row["eps_in_mean"][rows]
            nats = nats.index_copy(
                0, rows, discrete_nll(x0[rows], centred, log_var[rows]).flatten(1).mean(1)
            )
    else:
        nll = discrete_nll(x0, error * row["eps_in_mean"], log_var).flatten(1).mean(1)
        nats = torch.where(first, nll, nats)
    return nats / math.log(2.0)
