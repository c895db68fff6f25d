"""Which class each sample is asked for: a function of the sample's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

STREAM = 0x6C61626C


def labels_of(
    indices: Sequence[int], classes: int, mode: Literal["balanced", "drawn"], seed: int
) -> Tensor:
    """Return the class of each image, (B,) int64.

    "balanced": image i gets i mod `classes`, so the counts over any number of images differ by at
    most one. "drawn": uniform, from Philox keyed by (seed, i), as evaluation scripts that draw
    labels do.
    """
    if mode == "balanced":
        return torch.tensor([i % classes for i in indices], dtype=torch.int64)
    counter = np.array([0, 0, 0, STREAM], dtype=np.uint64)
    keys = [np.array([seed, i], dtype=np.uint64) for i in indices]
    drawn = [
        np.random.Generator(np.random.Philox(key=key, counter=counter)).integers(classes)
        for key in keys
    ]
    return torch.tensor(drawn, dtype=torch.int64)
