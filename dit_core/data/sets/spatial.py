"""Pairs for conditioning on a map (half hidden, coarse), and the samples kept out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dit_core.data.order import HELD_OUT
from dit_core.errors import DataError, nearest

HALVES = {"top": (slice(None, 4), slice(None)), "bottom": (slice(4, None), slice(None))}
HALVES |= {"left": (slice(None), slice(None, 4)), "right": (slice(None), slice(4, None))}


def half_hidden(x: Tensor, hidden: str = "bottom") -> Tensor:
    """Return the map (B, 2, 8, 8): the image, 0 where hidden, and 1 where it is seen.

    Raises DataError for another word than top, bottom, left, right.
    """
    if hidden not in HALVES:
        raise DataError(
            f"hidden half {hidden!r}{nearest(hidden, HALVES)}; halves are {', '.join(HALVES)}"
        )
    seen = torch.ones_like(x)
    seen[(..., *HALVES[hidden])] = 0
    return torch.cat([x * seen, seen], dim=1)


def coarse(x: Tensor, factor: int = 2) -> Tensor:
    """Return x (B, C, H, W) averaged over squares of `factor`: 8x8 becomes 4x4.

    Raises DataError where the factor does not divide H and W.
    """
    if factor < 1 or x.shape[-2] % factor or x.shape[-1] % factor:
        raise DataError(f"factor {factor} does not divide a map of {x.shape[-2]}x{x.shape[-1]}")
    return torch.nn.functional.avg_pool2d(x, factor)


def held_out(labels: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted indices (training, held out), about `share` of each label held out.

    A function of (seed, index): no draw depends on another. Raises DataError where a label would
    lose all samples, or where nothing would be held out.
    """
    if not 0 < share < 1:
        raise DataError(f"held-out share {share} is not between 0 and 1")
    bits = np.random.Philox(key=[seed, HELD_OUT]).random_raw(len(labels))
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(share * len(members))
        if not 0 < count < len(members):
            raise DataError(
                f"held-out share {share} takes {count} of the {len(members)} samples of label "
                f"{label}"
            )
        chosen[members[np.argsort(bits[members], kind="stable")[:count]]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
