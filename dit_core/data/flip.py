"""The left-right flip of training samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dit_core.data.order import flips


def flipped(x: Tensor, stream: np.ndarray, seed: int) -> Tensor:
    """Return x (B, C, H, W), flipped left-right where the coin (`order.flips`) says so."""
    coin = torch.from_numpy(flips(seed, stream))
    return torch.where(coin[:, None, None, None], x.flip(-1), x)
