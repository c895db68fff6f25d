"""What changes the numbers of a run: the resolved, frozen science whose hash is the run's identity.

Every field is written out, defaults included, before it is hashed, so that a changed default never
re-uses an old run. A field that is added to a later version carries `NEUTRAL`: the value under
which it does nothing and is left out of the canonical form, so that runs older than the field keep
their ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import FieldError, nearest
from dit_core.study.catalogue.designs import DESIGNS, design_of
from dit_core.study.science.data import Data as Data
from dit_core.study.science.frozen import Fraction as Fraction
from dit_core.study.science.frozen import Frozen as Frozen
from dit_core.study.science.frozen import Positive as Positive
from dit_core.study.science.frozen import neutral as neutral
from dit_core.study.science.unet import UNet

if TYPE_CHECKING:
    Conditioning = str
else:
    Conditioning = Literal[tuple(DESIGNS)]  # the rows of the catalogue, for pydantic and the schema
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
    """The Diffusion Transformer, spelled out (paper section 3.2, Table 1)."""

    family: Literal["dit"] = "dit"
    """The kind of network: a Transformer, or the U-Net it is compared with."""
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
    """Start value of a learned per-channel scale on every residual branch; null is none (the
    paper).
    """
    time_frequencies: Literal["released", "diffusers", "sit"] = Field(
        "released", json_schema_extra=neutral("released")
    )
    """Frequencies of the time embedding, i = 0..127: 10000^(-i/128), as released.

    diffusers has 10000^(-i/127); SiT 10000^(-i/128) / 1000, for times from 0 to 1.
    """
    tokens: Literal["patches", "features", "modules"] = Field(
        "patches", json_schema_extra=neutral("patches")
    )
    """What a token is: a patch (of a vector: `patch` features in a row), one feature, or one of
    `data.modules`.
    """
    map_entry: Literal["concat", "cross-attention"] = Field(
        "concat", json_schema_extra=neutral("concat")
    )
    """How a spatial condition enters: as further input channels, or as a sequence of patches in
    every block.
    """

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
            fits = [h for h in range(1, self.hidden + 1) if self.hidden % h == 0]
            raise FieldError(
                f"heads {self.heads} do not divide hidden {self.hidden}; these do: {fits}",
                "heads",
                "hidden",
            )
        if self.positions == "sincos-2d" and self.hidden % 4:
            raise FieldError(
                f"hidden {self.hidden} is not a multiple of 4, as 2-D sine-cosine positions need",
                "hidden",
                "positions",
            )
        return self


Network = Annotated[Model | UNet, Field(discriminator="family")]


class Ddpm(Frozen):
    """Denoising diffusion, epsilon prediction (paper section 3.1; Ho et al. 2020; Nichol & Dhariwal
    2021).
    """

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
    """Probability with which a label becomes the null class (0.1 is in the paper's code, not its
    text).
    """
    vector_dropout: Fraction = Field(0.1, json_schema_extra=neutral(0.1))
    """Probability with which a continuous condition becomes its null; one draw decides for all
    conditions.
    """
    context_dropout: Fraction = Field(0.1, json_schema_extra=neutral(0.1))
    """Probability with which context tokens become their null."""
    map_dropout: Fraction = Field(0.1, json_schema_extra=neutral(0.1))
    """Probability with which a spatial condition becomes its null."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: autocast with float32 master weights, EMA, modulation and loss."""
    imported: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, json_schema_extra=neutral(None)
    )
    """sha256 of the file whose weights `ditlab import` took in place of a training; null is trained
    here.
    """

    @model_validator(mode="after")
    def _whole_steps(self) -> Train:
        if self.images % self.batch:
            raise FieldError(
                f"images {self.images} is not a whole number of steps of batch {self.batch}",
                "images",
                "batch",
            )
        return self

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        return self.images // self.batch


class Science(Frozen):
    """One training, fully resolved: all that changes its numbers and nothing else."""

    model: Network
    data: Data
    objective: Objective
    train: Train

    @model_validator(mode="after")
    def _data_fit_network(self) -> Science:
        if isinstance(self.model, UNet):
            if misfit := self.model.misfit(self.data):
                raise FieldError(misfit, "levels")
            return self
        self._patch_divides_input()
        self._tokens_of_data()
        self._conditions_enter()
        return self

    def _patch_divides_input(self) -> None:
        h = self.data.height
        w = self.data.width
        (ph, pw) = self.patch_shape
        if self.dit.tokens == "patches" and (h % ph or w % pw):
            fits = [q for q in range(1, w + 1) if w % q == 0 and (self.data.vectors or h % q == 0)]
            text = f"patch {pw} does not divide the input {h}x{w}; these do: {fits}"
            raise FieldError(text, "patch")

    def _tokens_of_data(self) -> None:
        if self.dit.tokens != "patches" and not self.data.vectors:
            raise FieldError(
                f"tokens {self.dit.tokens!r} need vectors; data {self.data.name!r} are images",
                "tokens",
            )
        if self.dit.tokens == "modules" and not self.data.modules:
            raise FieldError(
                "tokens 'modules' need the sizes of the groups in data.modules; they are missing",
                "tokens",
            )
        if self.dit.tokens != "patches" and self.dit.patch != 1:
            raise FieldError(
                f"patch {self.dit.patch} has no meaning with tokens {self.dit.tokens!r}; set it "
                "to 1",
                "patch",
                "tokens",
            )

    def _conditions_enter(self) -> None:
        model = self.dit
        data = self.data
        by_attention = self.sequences
        if by_attention and not design_of(model.conditioning).takes_sequences:
            able = ", ".join(row.name for row in DESIGNS.values() if row.takes_sequences)
            raise FieldError(
                f"{' and '.join(by_attention)} enter by cross-attention, which conditioning "
                f"{model.conditioning!r} lacks; choose one of {able} (a map may also enter by "
                "map_entry: concat)",
                "conditioning",
                "map_entry",
            )
        if not data.map_channels:
            return
        size = f"{data.map_height}x{data.map_width}"
        by = model.map_entry
        p = model.patch
        if by == "concat" and (
            data.height % data.map_height
            or data.width % data.map_width
            or data.height // data.map_height != data.width // data.map_width
        ):
            raise FieldError(
                f"a map of {size} is no whole fraction of the input {data.height}x{data.width}, "
                "which map_entry 'concat' needs; set map_entry: cross-attention",
                "map_entry",
            )
        if by == "cross-attention" and (data.map_height % p or data.map_width % p):
            raise FieldError(
                f"patch {p} does not divide the map of {size}, whose patches are attended to",
                "patch",
            )

    @property
    def dit(self) -> Model:
        """Return the model of a Transformer; raise TypeError for another family, which the caller
        should have asked.
        """
        if not isinstance(self.model, Model):
            raise TypeError(
                f"a network of family {self.model.family!r} has no blocks, patches or tokens"
            )
        return self.model

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Return height and width of a patch: one row for vectors."""
        p = self.dit.patch
        return (1, p) if self.data.vectors else (p, p)

    @property
    def token_sizes(self) -> tuple[int, ...]:
        """Return the numbers of features of the tokens where each has an embedding of its own; else
        nothing.
        """
        if self.dit.tokens == "features":
            return (1,) * self.data.width
        return self.data.module_sizes if self.dit.tokens == "modules" else ()

    @property
    def sequences(self) -> tuple[str, ...]:
        """Return the conditions that enter as sequences which every block attends to: context,
        map.
        """
        if not self.data.conditions:
            return ()
        by_attention = self.dit.map_entry == "cross-attention"
        return tuple(
            n for n in self.data.conditions if n == "context" or (n == "map" and by_attention)
        )

    @property
    def tokens(self) -> int:
        """Return the sequence length T = (H / p) (W / p), or the number of groups, without
        condition tokens.

        Raises TypeError for a U-Net, as all that follows from `dit` does.
        """
        if self.token_sizes:
            return len(self.token_sizes)
        ph, pw = self.patch_shape
        return (self.data.height // ph) * (self.data.width // pw)


def dims_of(size: str) -> tuple[int, int, int]:
    """Return (depth, hidden, heads) of a named size; raise ValueError naming the sizes and the
    nearest one.
    """
    if size not in SIZES:
        raise ValueError(
            f"unknown size {size!r}{nearest(size, SIZES)}; sizes are {', '.join(SIZES)}"
        )
    return SIZES[size]
