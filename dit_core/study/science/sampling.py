"""How a trained run is sampled and measured: never a reason to train again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import FieldError
from dit_core.study.science.science import Frozen, Positive

Sampler = Literal["ddpm", "ddim", "dpm-solver++", "euler", "heun"]
SAMPLERS_OF: dict[str, tuple[str, ...]] = {
    "ddpm": ("ddpm", "ddim", "dpm-solver++"),
    "flow": ("euler", "heun"),
}


class Sampling(Frozen):
    """The settings of one sampler (paper section 4 and appendix A)."""

    sampler: Sampler = "ddpm"
    """Sampler; ddpm, ddim and dpm-solver++ go with the ddpm objective, euler and heun with flow."""
    steps: Positive = 250
    """Sampling steps; N steps cost N forward passes (Heun 2N-1)."""
    guidance: Annotated[float, Field(ge=0)] = 1.0
    """Classifier-free guidance scale; 1.0 is none and costs a single pass.

    0 is unconditional.
    """
    guidance_channels: Literal["all", "first-3"] = "all"
    """Channels that are guided: "first-3" is the paper's released sampler on four latent channels.
    """
    guidance_start: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Guide only from this noise level on; 0 is clean, 1 is pure noise."""
    guidance_end: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Guide only up to this noise level."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of fresh noise per DDIM step; 0 is deterministic.

    Other samplers ignore it and must leave it 0.
    """
    clip: bool = False
    """Clip the predicted clean sample to [-1, 1] at every step (pixels only).

    The paper does not clip latents.
    """

    @model_validator(mode="after")
    def _consistent(self) -> Sampling:
        if self.eta and self.sampler != "ddim":
            raise FieldError(
                f"eta {self.eta} has no meaning for sampler {self.sampler!r}; only ddim takes it",
                "eta",
                "sampler",
            )
        if self.guidance_start >= self.guidance_end:
            raise FieldError(
                f"guidance_start {self.guidance_start} is not below guidance_end "
                f"{self.guidance_end}",
                "guidance_start",
                "guidance_end",
            )
        return self


class Evaluation(Frozen):
    """One measurement of one run: where in training, sampled how, under which protocol."""

    images_seen: Positive
    """Training point whose EMA snapshot is measured (all results of the paper use the EMA)."""
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "digits"
    """Name of the protocol (`dit_core/study/catalogue/protocols.py`)."""
    samples: Positive
    """Number of generated samples."""
    sampling: Sampling
    """Sampler settings."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the samples: sample i is a function of (seed, i) alone."""
