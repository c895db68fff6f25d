"""What a network is trained to predict: the noise of a diffusion or the velocity of a flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dit_core.study.science.frozen import Frozen, Positive


class Ddpm(Frozen):
    """Denoising diffusion, epsilon prediction (paper section 3.1; Nichol & Dhariwal 2021)."""

    name: Literal["ddpm"] = "ddpm"
    """Objective."""
    timesteps: Positive = 1000
    """Length T of the forward process."""
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """First beta of the linear schedule (at T = 1000; used as written)."""
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 2e-2
    """Last beta of the linear schedule."""
    learn_sigma: bool = True
    """Learn the reverse covariance: the network returns 2C channels and the loss gains the
    variational term.
    """


class Flow(Frozen):
    """Rectified flow, velocity prediction (Liu et al. 2022; Esser et al. 2024)."""

    name: Literal["flow"] = "flow"
    """Objective."""
    times: Literal["uniform", "logit-normal"] = "uniform"
    """Distribution of the training times."""


Objective = Annotated[Ddpm | Flow, Field(discriminator="name")]
