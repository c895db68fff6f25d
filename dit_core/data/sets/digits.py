"""The digits of scikit-learn: 1,797 scans, 8x8, 17 grey levels, ten classes."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1)
def digits() -> tuple[Tensor, Tensor]:
    """Return images (1797, 1, 8, 8) float32 as x / 8 - 1, and labels (1797,) int64.

    Source: UCI Optical Recognition of Handwritten Digits, test part (Alpaydin & Kaynak 1998). The
    result is shared: do not write to it.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 8 - 1
    return x, torch.from_numpy(labels).long()
