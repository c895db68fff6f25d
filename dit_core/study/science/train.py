"""The recipe of a training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import FieldError
from dit_core.study.science.frozen import Fraction, Frozen, Positive, neutral


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
