"""Maps against the real map of their row: the strength and place of their structures.

Shapes: N samples, n rows, C channels, K shells of wave numbers; sample i belongs to row i mod n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dit_core.evaluate.metrics.intervals import (
    REPLICATES,
    Metric,
    bootstrapped,
    drawn_counts,
    plain,
)

BATCH = 256


def spectrum_metrics(samples: Tensor, real: Tensor) -> tuple[Metric, Metric]:
    """Return (power_error, cross_correlation) of samples (N, C, H, W) against real ones.

    With P(k) the mean power of a channel in shell k and X(k) the mean real part of the cross power
    with the row's real map, `power_error` is the root mean square over channels and shells of log10
    P_samples / P_real, less what the choice of rows adds to it: 0.1 is a quarter too much or too
    little power. `cross_correlation` is the mean of X / (P_samples P_real)^1/2: 1 where structures
    lie where the real ones do, 0 where they know nothing of them. It says little for conditions
    that leave places open, as cosmological parameters do. The mean of a map (k = 0) counts in
    neither. Intervals: 95 %, bootstrap over rows, all samples of a row together; no value where a
    shell of the real maps has no power.
    """
    own, other, cross = row_spectra(samples, real)

    def square(weights: Tensor) -> Tensor:
        return ((weights @ own) / (weights @ other)).log10().square().mean(dim=1)

    def correlation(weights: Tensor) -> Tensor:
        return ((weights @ cross) / ((weights @ own) * (weights @ other)).sqrt()).mean(dim=1)

    return _root_less_noise(square, len(real)), bootstrapped(correlation, len(real))


def _root_less_noise(square: Callable[[Tensor], Tensor], n: int) -> Metric:
    """Return the root of a mean of squares, corrected for scatter, with its 95 % interval.

    Squares of noisy numbers are too large by the noise's variance, and those of a bootstrap
    replicate by twice that.
    """
    value = square(torch.full((1, n), 1 / n, dtype=torch.float64))[0]
    replicates = square(drawn_counts(n, REPLICATES, 0).double() / n)
    if not (torch.isfinite(value) and torch.isfinite(replicates).all()):
        return plain(None)
    noise = replicates.mean() - value
    roots = (replicates - 2 * noise).clamp(min=0).sqrt()
    low, high = torch.quantile(roots, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"value": (value - noise).clamp(min=0).sqrt().item(), "low": low, "high": high}


def row_spectra(samples: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return per row the samples' mean power, the real map's, and their cross power."""
    n = len(real)
    (height, width) = samples.shape[-2:]
    shell, sizes = shells(height, width)
    found = [torch.zeros(n, samples.shape[1] * len(sizes), dtype=torch.float64) for _ in range(3)]
    draws = torch.zeros(n, dtype=torch.float64)
    for first, batch in _batches(samples):
        row = torch.arange(first, first + len(batch)) % n
        a, b = (torch.fft.fft2(x.double()).flatten(2) for x in (batch, real[row]))
        parts = (a.abs().square(), b.abs().square(), (a * b.conj()).real)
        for total, part in zip(found, parts, strict=True):
            total.index_add_(0, row, _by_shell(part, shell, sizes))
        draws.index_add_(0, row, torch.ones(len(batch), dtype=torch.float64))
    own, other, cross = (total / draws[:, None] for total in found)
    return own, other, cross


def shells(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the shell of each Fourier mode, -1 for none, and the number of modes of each.

    Wave numbers count cycles per longer side and are rounded; shells go from 1 to the shorter
    side's Nyquist frequency, as far as they have modes. The corners beyond, which not all
    directions reach, belong to none.
    """
    longer = max(height, width)
    ky, kx = (torch.fft.fftfreq(size, dtype=torch.float64) * longer for size in (height, width))
    number = (ky[:, None].square() + kx[None, :].square()).sqrt().round().long().flatten()
    number[(number == 0) | (number > longer // 2)] = -1
    kept = number[number > 0].unique()
    shell = torch.where(number > 0, torch.searchsorted(kept, number.clamp(min=1)), -1)
    return shell, torch.bincount(shell[shell >= 0], minlength=len(kept)).double()


def _by_shell(power: Tensor, shell: Tensor, sizes: Tensor) -> Tensor:
    """Return the mean over each shell of powers (B, C, H W), as (B, C K)."""
    inside = shell >= 0
    sums = power.new_zeros(*power.shape[:2], len(sizes)).index_add_(
        2, shell[inside], power[:, :, inside]
    )
    return (sums / sizes).flatten(1)


def _batches(samples: Tensor) -> Iterator[tuple[int, Tensor]]:
    first = 0
    for batch in samples.split(BATCH):
        yield first, batch
        first += len(batch)
