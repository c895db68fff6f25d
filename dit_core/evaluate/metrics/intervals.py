"""How sure a number is: Wilson's interval of a share, and a bootstrap over rows by counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Metric = dict[str, float | None]
Z = 1.959964  # of a 95 % interval
REPLICATES = 1000


def share(value: float, n: int) -> Metric:
    """Return a share of n draws with Wilson's 95 % interval (Wilson 1927)."""
    centre = (value + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * ((value * (1 - value) + Z * Z / (4 * n)) / n) ** 0.5 / (1 + Z * Z / n)
    return {"value": value, "low": max(0.0, centre - half), "high": min(1.0, centre + half)}


def plain(value: float | None) -> Metric:
    """Return a number without an interval."""
    return {"value": value, "low": None, "high": None}


def drawn_counts(n: int, replicates: int, seed: int) -> Tensor:
    """Return how often each of n samples is drawn, (replicates, n) uint8."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    counts = np.empty(
        (replicates, n), np.uint8
    )  # more than 255 draws of one sample in n do not happen
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
    return torch.from_numpy(counts)


def bootstrapped(
    statistic: Callable[[Tensor], Tensor], n: int, replicates: int = REPLICATES, seed: int = 0
) -> Metric:
    """Return a statistic of n rows with its 95 % percentile interval (Efron 1979).

    `statistic` takes weights (R, n) float64 of the rows, which sum to 1 in each replicate, and
    returns (R,). Replicates in which it is not finite (a variance of equal rows) are left out;
    there is no interval where less than half are left, and no value where it is not finite itself.
    """
    value = statistic(torch.full((1, n), 1 / n, dtype=torch.float64))[0].item()
    values = statistic(drawn_counts(n, replicates, seed).double() / n)
    values = values[torch.isfinite(values)]
    if not np.isfinite(value):
        return plain(None)
    if len(values) < replicates / 2:
        return plain(value)
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"value": value, "low": low, "high": high}
