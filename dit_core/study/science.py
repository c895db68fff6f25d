"""What changes the numbers of a run: the resolved, frozen science whose hash is the run's identity.

Every field is written out, defaults included, before it is hashed, so that a changed default never re-uses an old run.
A field that is added to a later version carries `NEUTRAL`: the value under which it does nothing and is left out of
the canonical form, so that runs older than the field keep their ids.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import nearest
from dit_core.study.data import Data as Data
from dit_core.study.frozen import Fraction as Fraction
from dit_core.study.frozen import Frozen as Frozen
from dit_core.study.frozen import Positive as Positive
from dit_core.study.frozen import neutral as neutral

Conditioning = Literal["adaln-zero", "adaln", "cross-attention", "in-context"]
Positions = Literal["sincos-2d", "sincos-1d", "learned", "none"]

# name: (depth, hidden, heads). S, B, L, XL are Table 1 of the paper; the others are for small data.
SIZES: dict[str, tuple[int, int, int]] = {
    "XXXXS": (2, 32, 2),
    "XXXS": (2, 48, 2),
    "XXS": (3, 64, 2),
    "XS": (4, 96, 3),
    "T": (6, 128, 4),
    "M": (8, 192, 6),
    "S": (12, 384, 6),
    "B": (12, 768, 12),
    "L": (24, 1024, 16),
    "XL": (28, 1152, 16),
}


class Model(Frozen):
    """The network, spelled out (paper section 3.2, Table 1)."""

    family: Literal["dit"] = "dit"
    """The kind of network."""
    depth: Positive
    """Number of blocks N."""
    hidden: Positive
    """Width d of a token."""
    heads: Positive
    """Attention heads; must divide `hidden`."""
    patch: Positive
    """Side p of a patch in input elements; must divide height and width."""
    conditioning: Conditioning = "adaln-zero"
    """How time and label enter the blocks (paper section 3.2, figure 3)."""
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0
    """Width of the feed-forward layer in units of `hidden`."""
    positions: Positions = "sincos-2d"
    """Position embedding of the tokens; the paper's is fixed 2-D sine-cosine."""
    qk_norm: bool = False
    """Normalise queries and keys per head (not in the paper)."""
    layer_scale: Annotated[float, Field(gt=0)] | None = None
    """Start value of a learned per-channel scale on every residual branch; null is none (the paper)."""
    time_frequencies: Literal["released", "diffusers"] = Field("released", json_schema_extra=neutral("released"))
    """Frequencies of the time embedding, i = 0..127: 10000^(-i/128) as released, or diffusers' 10000^(-i/127)."""

    @property
    def size(self) -> str:
        """Return the size's name ("S", "XL", …), or "d12h384a6" where it has none."""
        for name, dims in SIZES.items():
            if dims == (self.depth, self.hidden, self.heads):
                return name
        return f"d{self.depth}h{self.hidden}a{self.heads}"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Model:
        if self.hidden % self.heads:
            fits = [h for h in range(1, self.hidden + 1) if self.hidden % h == 0 and self.hidden // h >= 8]
            raise ValueError(f"heads {self.heads} do not divide hidden {self.hidden}; these do: {fits}")
        if self.positions == "sincos-2d" and self.hidden % 4:
            raise ValueError(f"hidden {self.hidden} is not a multiple of 4, which 2-D sine-cosine positions need")
        return self


class Ddpm(Frozen):
    """Denoising diffusion, epsilon prediction (paper section 3.1; Ho et al. 2020; Nichol & Dhariwal 2021)."""

    name: Literal["ddpm"] = "ddpm"
    """Objective."""
    timesteps: Positive = 1000
    """Length T of the forward process."""
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """First beta of the linear schedule (at T = 1000; used as written)."""
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 2e-2
    """Last beta of the linear schedule."""
    learn_sigma: bool = True
    """Learn the reverse covariance: the network returns 2C channels and the loss gains the variational term."""


class Flow(Frozen):
    """Rectified flow, velocity prediction (Liu et al. 2022; Esser et al. 2024)."""

    name: Literal["flow"] = "flow"
    """Objective."""
    times: Literal["uniform", "logit-normal"] = "uniform"
    """Distribution of the training times."""


Objective = Annotated[Ddpm | Flow, Field(discriminator="name")]


class Train(Frozen):
    """The recipe (paper section 4: the same for every model, "did not tune")."""

    images: Positive
    """Images seen until the end; steps x batch. Written in a study as `duration`."""
    batch: Positive = 256
    """Images per optimiser step over all processes."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of initialisation, order, noise and label dropout."""
    lr: Annotated[float, Field(gt=0)] = 1e-4
    """Learning rate of AdamW."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over time; cosine falls to zero at the end."""
    warmup_images: Annotated[int, Field(ge=0)] = 0
    """Images over which the learning rate rises linearly from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""
    beta1: Fraction = 0.9
    """First moment decay of AdamW."""
    beta2: Fraction = 0.999
    """Second moment decay of AdamW."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Largest global gradient norm; null is no clipping (the paper)."""
    ema: Fraction = 0.9999
    """Decay of the weights' exponential moving average, per step."""
    label_dropout: Fraction = 0.1
    """Probability with which a label becomes the null class (0.1 is in the paper's code, not its text)."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: autocast with float32 master weights, EMA, modulation and loss."""
    imported: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(None, json_schema_extra=neutral(None))
    """sha256 of the file whose weights `ditlab import` took in place of a training; null is trained here."""

    @model_validator(mode="after")
    def _whole_steps(self) -> Train:
        if self.images % self.batch:
            raise ValueError(f"images {self.images} is not a whole number of steps of batch {self.batch}")
        return self

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        return self.images // self.batch


class Science(Frozen):
    """One training, fully resolved: all that changes its numbers and nothing else."""

    model: Model
    data: Data
    objective: Objective
    train: Train

    @model_validator(mode="after")
    def _patch_divides_input(self) -> Science:
        h, w, p = self.data.height, self.data.width, self.model.patch
        if h % p or w % p:
            fits = [q for q in range(1, min(h, w) + 1) if h % q == 0 and w % q == 0]
            raise ValueError(f"patch {p} does not divide the input {h}x{w}; these do: {fits}")
        return self

    @property
    def tokens(self) -> int:
        """Return the sequence length T = (H / p) (W / p), without condition tokens."""
        return (self.data.height // self.model.patch) * (self.data.width // self.model.patch)


def dims_of(size: str) -> tuple[int, int, int]:
    """Return (depth, hidden, heads) of a named size; raise ValueError naming the sizes and the nearest one."""
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}{nearest(size, SIZES)}; sizes are {', '.join(SIZES)}")
    return SIZES[size]
