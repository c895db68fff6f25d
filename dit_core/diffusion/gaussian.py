"""The Gaussian diffusion process with a learned covariance (paper section 3.1).

After Ho et al. (2020) and Nichol & Dhariwal (2021):

    q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I)
        with abar_t = product of alpha_s = 1 - beta_s for s <= t
    p(x_{t-1} | x_t) = N(mu(x_t, eps), exp(v-interpolated log variance))

All tables are made in float64 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dit_core.study.science.science import Ddpm

# One row per timestep t, the columns a training step or a sampling step needs.
COLUMNS = (
    "sqrt_abar",  #          signal of x_t
    "sqrt_1m_abar",  #       noise of x_t
    # beta / sqrt(alpha (1 - abar)): mu = x_t / sqrt(alpha) - eps_in_mean * eps
    "eps_in_mean",
    "inv_sqrt_alpha",
    "log_beta",  #           upper end of the learned log variance
    # lower end: log of beta (1 - abar_{t-1}) / (1 - abar_t); at t = 0 that of t = 1
    "log_posterior",
    "x0_in_mean",  #         weight of x_0 in the posterior mean
    "xt_in_mean",  #         weight of x_t in the posterior mean
    "sqrt_abar_prev",
    "sqrt_1m_abar_prev",
)


def linear_betas(cfg: Ddpm) -> np.ndarray:
    """Return the T betas of the linear schedule, float64."""
    return np.linspace(cfg.beta_start, cfg.beta_end, cfg.timesteps, dtype=np.float64)


def respaced_betas(betas: np.ndarray, timesteps: Sequence[int]) -> np.ndarray:
    """Return the betas of the process that visits only `timesteps`, with the same abar there.

    `timesteps` ascend.
    """
    abar = np.cumprod(1.0 - betas)[list(timesteps)]
    respaced: np.ndarray = 1.0 - abar / np.concatenate([[1.0], abar[:-1]])
    return respaced


def table(betas: np.ndarray) -> np.ndarray:
    """Return the (T, len(COLUMNS)) table of a process, float64."""
    alpha = 1.0 - betas
    abar = np.cumprod(alpha)
    prev = np.concatenate([[1.0], abar[:-1]])
    posterior = betas * (1.0 - prev) / (1.0 - abar)
    # The posterior variance is zero at t = 0; its logarithm is taken from t = 1, where there is
    # one.
    posterior[0] = posterior[1] if len(betas) > 1 else betas[0]
    values = {
        "sqrt_abar": np.sqrt(abar),
        "sqrt_1m_abar": np.sqrt(1.0 - abar),
        "eps_in_mean": betas / np.sqrt(alpha * (1.0 - abar)),
        "inv_sqrt_alpha": 1.0 / np.sqrt(alpha),
        "log_beta": np.log(betas),
        "log_posterior": np.log(posterior),
        "x0_in_mean": betas * np.sqrt(prev) / (1.0 - abar),
        "xt_in_mean": (1.0 - prev) * np.sqrt(alpha) / (1.0 - abar),
        "sqrt_abar_prev": np.sqrt(prev),
        "sqrt_1m_abar_prev": np.sqrt(1.0 - prev),
    }
    return np.stack([values[name] for name in COLUMNS], axis=1)


@lru_cache(maxsize=8)
def _training_table(cfg: Ddpm, device: torch.device) -> Tensor:
    # A table first made while sampling must serve training too.
    with torch.inference_mode(False):
        return torch.from_numpy(table(linear_betas(cfg))).float().to(device)


def training_rows(cfg: Ddpm, t: Tensor) -> dict[str, Tensor]:
    """Return the table's columns at timesteps t (B,) int64, each (B, 1, 1, 1) float32."""
    rows = _training_table(cfg, t.device)[t]
    return dict(zip(COLUMNS, rows[:, :, None, None, None].unbind(1), strict=True))


def log_variance(v: Tensor, row: Mapping[str, Tensor | float]) -> Tensor:
    """Return the learned log variance for the network's v.

    At v = -1 it is the posterior's, at +1 beta's (Nichol & Dhariwal 2021, eq. 15).
    """
    share = (v + 1.0) / 2.0
    return share * row["log_beta"] + (1.0 - share) * row["log_posterior"]


def normal_kl(squared_distance: Tensor, log_variance1: Tensor, log_variance2: Tensor) -> Tensor:
    """Return KL(N(m1, exp(log_variance1)) || N(m2, exp(log_variance2))) per element, in nats."""
    difference = log_variance1 - log_variance2
    return 0.5 * (
        difference.exp() - difference - 1.0 + squared_distance * torch.exp(-log_variance2)
    )


def discrete_nll(x0: Tensor, centred: Tensor, log_variance: Tensor) -> Tensor:
    """Return -log p(x0), in nats per element, of a Gaussian over the 256 levels of [-1, 1].

    Equation 13 of Ho et al. (2020). `centred` is x0 minus the mean. The normal distribution
    function is the tanh form of the released code, so that values agree with it: that form differs
    from the exact one by less than 4e-4.
    """
    inverse = torch.exp(-0.5 * log_variance)
    bin_half = 1.0 / 255.0
    upper = _normal_cdf(inverse * (centred + bin_half))
    lower = _normal_cdf(inverse * (centred - bin_half))
    probability = torch.where(
        x0 < -0.999, upper, torch.where(x0 > 0.999, 1.0 - lower, upper - lower)
    )
    return -torch.log(probability.clamp(min=1e-12))


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
