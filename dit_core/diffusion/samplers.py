"""Samplers: from noise to samples in N steps.

They draw nothing: all noise comes from the caller, by number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dit_core.diffusion.flow import TIME_SCALE, Network
from dit_core.diffusion.gaussian import COLUMNS, linear_betas, log_variance, respaced_betas, table
from dit_core.diffusion.guidance import Guided
from dit_core.model.conditions import Given
from dit_core.study.price.steps import check_sampler, levels, timesteps_of
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Ddpm, Flow

Noise = Callable[[int], Tensor]


@torch.no_grad()
def sample(
    model: Network, objective_cfg: Ddpm | Flow, sampling: Sampling, y: Given, noise: Noise
) -> Tensor:
    """Return samples (B, C, H, W), float32, for labels y (B,), or for conditions of B samples.

    `noise(k)` gives the k-th standard normal (B, C, H, W) of this batch: 0 is the start, k the one
    that step k adds (the last step adds none). N steps call the model N times, Heun's 2N - 1 times.
    The model's mode, its device and autocast are the caller's. Raises UserError for a sampler that
    does not go with the objective, for more steps than timesteps, and for labels the model does not
    have.
    """
    check_sampler(objective_cfg, sampling)
    if hasattr(model, "check_labels"):
        model.check_labels(y)
    x = noise(0).float()
    guided = Guided.of(model, sampling, y)
    if isinstance(objective_cfg, Flow):
        return _flow(guided, objective_cfg, sampling, x)
    if sampling.sampler == "dpm-solver++":
        return _dpm_solver(guided, objective_cfg, sampling, x)
    return _ancestral(guided, objective_cfg, sampling, x, noise)


def _ancestral(model: Guided, cfg: Ddpm, sampling: Sampling, x: Tensor, noise: Noise) -> Tensor:
    """DDPM and DDIM on the respaced process."""
    visited = timesteps_of(cfg, sampling)
    rows = [
        dict(zip(COLUMNS, map(float, row), strict=True))
        for row in table(respaced_betas(linear_betas(cfg), visited))
    ]
    step = ddpm_step if sampling.sampler == "ddpm" else ddim_step
    for k, level in enumerate(levels(cfg, sampling), start=1):
        i = len(visited) - k
        out = model(x, float(visited[i]), level)
        adds_noise = sampling.sampler == "ddpm" or sampling.eta > 0
        fresh = noise(k).float() if i > 0 and adds_noise else None
        x = step(x, out, rows[i], fresh, sampling)
    return x


def predicted_x0(x: Tensor, eps: Tensor, row: dict[str, float], clip: bool) -> Tensor:
    """Return the clean sample (B, C, H, W) that noise `eps` in x implies; `clip` is to [-1, 1]."""
    x0 = (x - row["sqrt_1m_abar"] * eps) / row["sqrt_abar"]
    return x0.clamp(-1.0, 1.0) if clip else x0


def ddpm_step(
    x: Tensor, out: Tensor, row: dict[str, float], fresh: Tensor | None, sampling: Sampling
) -> Tensor:
    """Return x one step cleaner, drawn from p(x_{t-1} | x_t).

    `fresh` is None in the last step, which adds no noise. Without a learned covariance the variance
    is the posterior's.
    """
    C = x.shape[1]
    eps = out[:, :C]
    if sampling.clip:
        mean = row["x0_in_mean"] * predicted_x0(x, eps, row, True) + row["xt_in_mean"] * x
    else:
        mean = torch.add(row["inv_sqrt_alpha"] * x, eps, alpha=-row["eps_in_mean"])
    if fresh is None:
        return mean
    if out.shape[1] == C:
        return mean + math.exp(0.5 * row["log_posterior"]) * fresh
    return torch.addcmul(mean, torch.exp(0.5 * log_variance(out[:, C:], row)), fresh)


def ddim_step(
    x: Tensor, out: Tensor, row: dict[str, float], fresh: Tensor | None, sampling: Sampling
) -> Tensor:
    """Return x one step cleaner by DDIM (Song et al. 2021, eq. 12); eta scales the fresh noise."""
    eps = out[:, : x.shape[1]]
    x0 = predicted_x0(x, eps, row, sampling.clip)
    if sampling.clip:
        eps = (x - row["sqrt_abar"] * x0) / row["sqrt_1m_abar"]
    sigma = 0.0 if fresh is None else sampling.eta * math.exp(0.5 * row["log_posterior"])
    towards = math.sqrt(max(row["sqrt_1m_abar_prev"] ** 2 - sigma**2, 0.0))
    mean = torch.add(row["sqrt_abar_prev"] * x0, eps, alpha=towards)
    return mean if fresh is None else torch.add(mean, fresh, alpha=sigma)


def _dpm_solver(model: Guided, cfg: Ddpm, sampling: Sampling, x: Tensor) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022), the steps by diffusers' scheduler."""
    from diffusers import DPMSolverMultistepScheduler  # a second to import

    betas = linear_betas(cfg)
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=cfg.timesteps,
        trained_betas=betas,
        prediction_type="epsilon",
        algorithm_type="dpmsolver++",
    )
    scheduler.set_timesteps(sampling.steps)
    visited = timesteps_of(cfg, sampling)[::-1]
    assert visited == tuple(int(t) for t in scheduler.timesteps)
    abar = np.cumprod(1.0 - betas)
    for t, level, step in zip(visited, levels(cfg, sampling), scheduler.timesteps, strict=True):
        eps = model(x, float(t), level)[:, : x.shape[1]]
        if sampling.clip:
            row = {"sqrt_abar": math.sqrt(abar[t]), "sqrt_1m_abar": math.sqrt(1.0 - abar[t])}
            eps = (x - row["sqrt_abar"] * predicted_x0(x, eps, row, True)) / row["sqrt_1m_abar"]
        x = scheduler.step(eps, step, x).prev_sample
    return x


def _flow(model: Guided, cfg: Flow, sampling: Sampling, x: Tensor) -> Tensor:
    """Euler's and Heun's method from time 1 (noise) to 0; Heun's last step is Euler's."""
    n = sampling.steps
    for i in range(n):
        now = 1.0 - i / n
        then = 1.0 - (i + 1) / n if i + 1 < n else 0.0
        velocity = _velocity(model, sampling, x, now)
        if sampling.sampler == "heun" and i + 1 < n:
            there = torch.add(x, velocity, alpha=then - now)
            velocity = 0.5 * (velocity + _velocity(model, sampling, there, then))
        x = torch.add(x, velocity, alpha=then - now)
    return x


def _velocity(model: Guided, sampling: Sampling, x: Tensor, time: float) -> Tensor:
    velocity = model(x, time * TIME_SCALE, time)
    if sampling.clip:
        velocity = (x - (x - time * velocity).clamp(-1.0, 1.0)) / time
    return velocity
