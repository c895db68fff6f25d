"""The Diffusion Transformer of a study: its named sizes and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import FieldError, nearest
from dit_core.study.catalogue.designs import DESIGNS
from dit_core.study.science.frozen import Frozen, Positive, neutral

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


def dims_of(size: str) -> tuple[int, int, int]:
    """Return (depth, hidden, heads) of a named size.

    Raises ValueError naming the sizes and the nearest one.
    """
    if size not in SIZES:
        raise ValueError(
            f"unknown size {size!r}{nearest(size, SIZES)}; sizes are {', '.join(SIZES)}"
        )
    return SIZES[size]
