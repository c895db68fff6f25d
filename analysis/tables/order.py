"""The order of values in tables: numbers by size, sizes and designs as the schema lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dit_core.study.catalogue.designs import DESIGNS
from dit_core.study.science.science import SIZES

_LISTED = (*SIZES, *DESIGNS)


def rank(value: Any) -> tuple[int, float, str]:
    """Return a value's place: numbers by size, listed words (XS before S), others by letter."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, _LISTED.index(value) if value in _LISTED else len(_LISTED), str(value))


def size_order(sizes: Iterable[str]) -> list[str]:
    """Return model sizes from small to large: those of the study language, then the others."""
    known = list(SIZES)
    unique = {str(s) for s in sizes}
    return sorted(unique, key=lambda s: (known.index(s) if s in known else len(known), s))
