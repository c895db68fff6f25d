"""A network of others as it was described, and as it was read."""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.model.weights.released import Tensors
from dit_core.study.science.science import Science


@dataclass(frozen=True, slots=True)
class Described:
    """What a file does not say and its user must."""

    data: str = "imagenet"
    kind: str = "latents"
    images_seen: int | None = None
    heads: int | None = None
    flow: str | None = None
    """Whose times a flow's network takes: "ditlab" (1 is noise) or "sit" (1 is data); None is no
    flow.
    """
    frequencies: str | None = None
    classes: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A network of others, in our layout."""

    science: Science
    weights: Tensors
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A network of others in the released layout, and what its file says about it."""

    released: Tensors
    source: str
    """The file, as errors name it."""
    sha256: str
    side: int
    """Height and width of a sample."""
    frequencies: str = "released"
    heads: int | None = None
    classes: int | None = None
    notes: tuple[str, ...] = ()
