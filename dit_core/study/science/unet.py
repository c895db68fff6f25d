"""The U-Net baseline, spelled out: convolutions and attention at falling resolutions (Ho et al.

2020; ADM 2021).
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from dit_core.errors import FieldError
from dit_core.study.science.data import Data
from dit_core.study.science.frozen import Frozen, Positive

Attended = Literal["none", "bottom", "all"]


class UNet(Frozen):
    """A class-conditional U-Net, diffusers' `UNet2DModel`, in place of the Transformer."""

    family: Literal["unet"] = "unet"
    """The kind of network: a Transformer, or the U-Net it is compared with."""
    channels: Positive
    """Channels of the first level, which has the input's resolution; a multiple of `groups`."""
    levels: Positive = 2
    """Resolutions; each level halves height and width of the one above."""
    growth: Positive = 2
    """Channels of a level in units of those of the level above."""
    layers: Positive = 2
    """Residual blocks per level on the way down; one more on the way up."""
    attention: Attended = "bottom"
    """Levels with self-attention: none, the lowest (and the middle), or all."""
    head_channels: Positive = 8
    """Channels of one attention head; must divide the channels of every level with attention."""
    groups: Positive = 8
    """Groups of the group normalisation."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the channels of each level, highest resolution first."""
        return tuple(self.channels * self.growth**level for level in range(self.levels))

    @property
    def attended(self) -> tuple[bool, ...]:
        """Return for each level whether it has self-attention."""
        last = self.levels - 1
        return tuple(
            self.attention == "all" or (self.attention == "bottom" and i == last)
            for i in range(self.levels)
        )

    @property
    def size(self) -> str:
        """Return "U32x2": channels of the first level and levels.

        What else differs from the defaults comes after it.
        """
        usual = {
            "growth": "g",
            "layers": "n",
            "attention": "-",
            "head_channels": "h",
            "groups": "k",
        }
        differs = [
            f"{mark}{getattr(self, name)}" for name, mark in usual.items() if self._differs(name)
        ]
        return f"U{self.channels}x{self.levels}{''.join(differs)}"

    def _differs(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @model_validator(mode="after")
    def _parts_divide(self) -> UNet:
        if self.channels % self.groups:
            nearest = max(round(self.channels / self.groups), 1) * self.groups
            raise FieldError(
                f"channels {self.channels} are not a multiple of groups {self.groups}; {nearest} "
                "are",
                "channels",
                "groups",
            )
        if self.channels % 2:
            raise FieldError(
                f"channels {self.channels} are odd, which the sine-cosine time embedding cannot be",
                "channels",
            )
        self._heads_divide()
        return self

    def _heads_divide(self) -> None:
        attended = [width for width, on in zip(self.widths, self.attended, strict=True) if on]
        wrong = [width for width in attended if width % self.head_channels]
        if wrong:
            fits = [
                h for h in range(1, min(attended) + 1) if all(width % h == 0 for width in attended)
            ]
            raise FieldError(
                f"head_channels {self.head_channels} do not divide the {wrong[0]} channels of a "
                f"level with attention; these do: {fits}",
                "head_channels",
                "channels",
            )

    def misfit(self, data: Data) -> str | None:
        """Return why samples of `data` cannot go through this network, or None where they can."""
        more = ("vectors" if data.vectors else "", *data.conditions)
        if any(more):
            return (
                f"a U-Net takes images and their labels; data {data.name!r} have "
                f"{', '.join(filter(None, more))}, "
                "which only family 'dit' takes"
            )
        step = 2 ** (self.levels - 1)
        if data.height % step or data.width % step:
            side = math.gcd(data.height, data.width)
            fits = [n for n in range(1, 12) if side % 2 ** (n - 1) == 0]
            return (
                f"levels {self.levels} halve the input {self.levels - 1} times, which "
                f"{data.height}x{data.width} "
                f"cannot be; levels that fit: {fits}"
            )
        return None
