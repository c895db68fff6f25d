"""Errors of a least-squares fit whose residuals may belong together: by size, by patch, by a bend.

Models of one size (or one patch) share what a law does not know of that size, so that twelve
models are fewer than twelve independent points. The covariance of the residuals is
`s^2 ((1 - sum of shares) I + sum of shares_k K_k)`; the shares are unknown, and each combination on
a grid is weighed by its restricted likelihood (Patterson & Thompson 1971) times a prior. The error
of an estimate is then a mixture of Student's t distributions; with all shares 0 it is the one of
ordinary least squares. `benchmarks/fit_coverage.py` simulates what the intervals hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

Array = NDArray[np.float64]
SHARES = (0.0, 0.2, 0.47, 0.85)
"""Shares of the residual variance that a component may have."""
NONE = 0.4
"""Prior probability that residuals are independent: of those tried (0.1 to 0.7) the one that keeps
both independent and shared deviations covered."""
MOST = 0.96  # the shares together: some of the noise is every point's own


@dataclass(frozen=True, slots=True)
class Errors:
    """The distribution of a fit's errors: `weights` (K,) of combinations of shares,
    the first without any.

    `covariances` (K, n + m, n + m) of n data and m points to predict, in units of the residual
    variance `scales` (K,); `df` degrees of freedom.
    """

    weights: Array
    scales: Array
    covariances: Array
    df: int

    def half(self, use: ArrayLike, level: float = 0.95) -> float:
        """Return half the interval of the error `use` (n + m,) @ (data, points to predict).

        Shared deviations may cancel in an estimate; it is never narrower than without them.
        """
        of = np.asarray(use, float)
        variance = self.scales * np.einsum("i,kij,j->k", of, self.covariances, of)
        spread = np.sqrt(np.maximum(variance, 0.0))
        top = float(spread.max()) * float(special.stdtrit(self.df, (1 + level) / 2))
        if top <= 0:
            return 0.0
        spread = np.maximum(spread, 1e-12 * float(spread.max()))

        def missing(half: float) -> float:
            inside = 2 * special.stdtr(self.df, half / spread) - 1
            return float(self.weights @ inside) - level

        alone = float(np.sqrt(self.scales[0]) * np.linalg.norm(of))
        alone *= float(special.stdtrit(self.df, (1 + level) / 2))
        return max(alone, float(optimize.brentq(missing, 0.0, top * (1 + 1e-9) + 1e-300)))


def errors_of(columns: Array, y: Array, kernels: Sequence[Array]) -> Errors:
    """Return the errors of the least-squares fit of y (n,) on columns (n, p), n > p.

    Each kernel (n + m, n + m) is the covariance that one component gives the data and the m points
    to predict.
    """
    n = len(y)
    size = len(kernels[0]) if kernels else n
    shares = [c for c in product(SHARES, repeat=len(kernels)) if sum(c) <= MOST]
    logs = []
    scales = []
    covariances = []
    for chosen in shares:
        full = np.eye(size) * (1 - sum(chosen))
        for share, kernel in zip(chosen, kernels, strict=True):
            full += share * kernel
        log, scale = _restricted(columns, y, full[:n, :n])
        prior = (1 - NONE) / max(len(shares) - 1, 1) if any(chosen) else NONE
        logs.append(log + np.log(prior))
        scales.append(scale)
        covariances.append(full)
    weights = np.exp(np.array(logs) - max(logs))
    df = n - columns.shape[1]
    return Errors(weights / weights.sum(), np.array(scales), np.array(covariances), df)


def _restricted(columns: Array, y: Array, covariance: Array) -> tuple[float, float]:
    """Return the restricted log likelihood, the scale integrated out, and the scale's estimate."""
    n, p = columns.shape
    root = np.linalg.cholesky(covariance)
    both = np.linalg.solve(root, np.column_stack([columns, y]))
    _, r = np.linalg.qr(both)
    rest = max(float(r[p, p]) ** 2, 1e-300)
    log = -np.log(np.diag(root)).sum() - np.log(np.abs(np.diag(r)[:p])).sum()
    return float(log) - (n - p) / 2 * float(np.log(rest)), rest / (n - p)


def kernels_of(clusters: Sequence[ArrayLike]) -> list[Array]:
    """Return the kernel of each grouping of points that could be told from the noise."""
    return [kernel for labels in clusters if (kernel := same(labels)) is not None]


def same(labels: ArrayLike) -> Array | None:
    """Return the kernel of a shared deviation (n, n): 1 where labels are equal.

    None where it could not be told: one label for all, or one for each.
    """
    names: NDArray[np.str_] = np.asarray(labels).astype(str)
    if not 1 < len(set(names)) < len(names):
        return None
    return np.asarray(names[:, None] == names[None, :], float)


def bend(columns: Array, x: ArrayLike, n: int) -> list[Array]:
    """Return the kernel of a curvature in x (n + m,) that the columns (n + m, p) do not hold.

    It is orthogonal to the fit of the first n points, so that it moves no estimate; far beyond the
    data it is large. Empty where the columns hold it.
    """
    u = np.asarray(x, float)
    square = ((u - u[:n].mean()) / max(float(u[:n].std()), 1e-300)) ** 2
    rest = square - columns @ (np.linalg.pinv(columns[:n]) @ square[:n])
    size = float((rest[:n] ** 2).mean())
    if size < 1e-4:
        return []
    return [np.outer(rest, rest) / size]
