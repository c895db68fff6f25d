"""Float64 sums that give mean and covariance, merged by adding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.errors import DataError

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum (D,) and sum of outer products (D, D) of feature vectors, in float64."""

    count: int
    total: Tensor
    outer: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Return the sums of features (N, D); DataError names the first row that is not finite."""
        width = features.shape[1]
        total = torch.zeros(width, dtype=torch.float64)
        outer = torch.zeros(width, width, dtype=torch.float64)
        for number, block in enumerate(
            features.split(BLOCK)
        ):  # in blocks: never a second, wider copy of all features
            finite = torch.isfinite(block).all(dim=1)
            if not finite.all():
                row = number * BLOCK + int(torch.nonzero(~finite)[0])
                raise DataError(f"feature vector {row} holds values that are not finite")
            x = block.double()
            total += x.sum(dim=0)
            outer += x.T @ x
        return cls(len(features), total, outer)

    @classmethod
    def merged(cls, parts: list[Moments]) -> Moments:
        """Return the sums over all parts in the order given: the same order, the same bits."""
        if not parts:
            raise ValueError("no parts to merge")
        total = torch.zeros_like(parts[0].total)
        outer = torch.zeros_like(parts[0].outer)
        for part in parts:
            total += part.total
            outer += part.outer
        return cls(sum(part.count for part in parts), total, outer)

    def mean(self) -> Tensor:
        """Return the mean, (D,)."""
        return self.total / self.count

    def covariance(self) -> Tensor:
        """Return the unbiased covariance, (D, D); raise DataError below two vectors."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 samples, got {self.count}")
        mean = self.mean()
        return (self.outer - self.count * torch.outer(mean, mean)) / (self.count - 1)
