"""The Fréchet distance between two Gaussians, and what the finite number of samples does to it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.metrics.intervals import drawn_counts


def frechet(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C2^1/2 C1 C2^1/2)^1/2), in float64.

    The distance of Dowson and Landau (1982). This form needs eigenvalues of symmetric matrices
    only: real, stable, right for singular covariances.
    """
    root = square_root(cov2.double())
    return _distance(
        mean1.double(), cov1.double(), mean2.double(), torch.trace(cov2.double()), root
    ).item()


def square_root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root of a positive semi-definite matrix (D, D).

    Eigenvalues below 0, which rounding makes, count as 0.
    """
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, trace2: Tensor, root2: Tensor) -> Tensor:
    """Return the distance for means (..., D) and covariances (..., D, D), batched."""
    cross = torch.linalg.eigvalsh(root2 @ cov1 @ root2).clamp(min=0).sqrt().sum(dim=-1)
    trace1 = cov1.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    # Rounding leaves about -1e-12 for equal sets; a distance is never negative.
    distance: Tensor = (mean1 - mean2).square().sum(dim=-1) + trace1 + trace2 - 2 * cross
    return distance.clamp(min=0)


def bootstrap_interval(
    features: Tensor, mean2: Tensor, cov2: Tensor, replicates: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the distance of features (N, D) to a fixed reference.

    Samples are drawn with replacement, as counts per sample, so that all covariances come from one
    matrix product. Drawing again adds the bias of N samples a second time; the replicates are
    therefore centred on the value itself.
    """
    n, width = features.shape
    own = Moments.of(features)
    centre = own.mean()
    counts = drawn_counts(n, replicates, seed)
    rows, columns = torch.triu_indices(width, width)
    products = torch.zeros(replicates, len(rows), dtype=torch.float64)
    sums = torch.zeros(replicates, width, dtype=torch.float64)
    # In blocks, so that the products of one block are all that is held; in float32, enough for an
    # interval and twice as fast.
    for block, counted in zip(features.split(2048), counts.split(2048, dim=1), strict=True):
        x = (block - centre).float()
        weights = counted.float()
        products += weights @ _products(x)
        sums += weights @ x
    outer = torch.zeros(replicates, width, width, dtype=torch.float64)
    outer[:, rows, columns] = products
    outer[:, columns, rows] = products
    means = sums / n
    covs = (outer - n * means.unsqueeze(2) * means.unsqueeze(1)) / (n - 1)
    root = square_root(cov2.double())
    trace2 = torch.trace(cov2.double())
    values = _distance(means + centre, covs, mean2.double(), trace2, root)
    value = _distance(centre, own.covariance(), mean2.double(), trace2, root).item()
    low, high = torch.quantile(
        values - values.mean(), torch.tensor([0.025, 0.975], dtype=torch.float64)
    ).tolist()
    return max(0.0, value + low), value + high


def _products(x: Tensor) -> Tensor:
    """Return the products of all pairs of columns of x (N, D), (N, D (D + 1) / 2).

    They are in the order of triu_indices.
    """
    width = x.shape[1]
    first = 0
    columns = x.T.contiguous()
    made = x.new_empty(width * (width + 1) // 2, len(x))
    for i in range(width):  # ten times as fast as gathering both factors
        torch.mul(columns[i], columns[i:], out=made[first : first + width - i])
        first += width - i
    return made.T


def delta_interval(features: Tensor, mean2: Tensor, cov2: Tensor) -> tuple[float, float]:
    """Return the 95 % interval by the delta method, for features (N, D) too wide to bootstrap.

    The influence of a sample x with d = x - m1 is 2 (m1 - m2) d + d' (I - A) d, less its mean, with
    A the optimal transport map from the samples' Gaussian to the reference's.
    """
    own = Moments.of(features)
    mean1 = own.mean()
    cov1 = own.covariance()
    n = own.count
    values, vectors = torch.linalg.eigh(cov1)
    keep = values > values.max() * 1e-10
    scale = torch.where(keep, values, 1.0).sqrt()
    root = (vectors * torch.where(keep, scale, 0.0)) @ vectors.T
    inverse = (vectors * torch.where(keep, 1 / scale, 0.0)) @ vectors.T
    slope = (
        torch.eye(len(mean1), dtype=torch.float64)
        - inverse @ square_root(root @ cov2.double() @ root) @ inverse
    )
    influence = torch.cat(
        [_influence(block, mean1, mean2.double(), slope) for block in features.split(4096)]
    )
    half = 1.959964 * influence.std().item() / n**0.5
    value = frechet(mean1, cov1, mean2, cov2)
    return max(0.0, value - half), value + half


def _influence(block: Tensor, mean1: Tensor, mean2: Tensor, slope: Tensor) -> Tensor:
    centred = block.double() - mean1
    return 2 * centred @ (mean1 - mean2) + ((centred @ slope) * centred).sum(dim=1)


def frechet_infinity(
    features: Tensor, mean2: Tensor, cov2: Tensor, points: int = 12, seed: int = 0
) -> float | None:
    """Return the distance extrapolated to infinite samples; None where there are too few.

    It is the intercept of a line in 1/n (Chong and Forsyth 2020) through subsets of features (N, D)
    of max(2D + 1, N / 10) to N samples; N must be twice the smallest subset.
    """
    n, width = features.shape
    smallest = max(2 * width + 1, n // 10)
    if n < 2 * smallest:
        return None
    rng = np.random.Generator(np.random.Philox(key=seed))
    sizes = np.unique(np.linspace(smallest, n, points).astype(int))
    root = square_root(cov2.double())
    trace2 = torch.trace(cov2.double())
    values = []
    for size in sizes:
        own = Moments.of(features[torch.from_numpy(rng.permutation(n)[:size])])
        values.append(_distance(own.mean(), own.covariance(), mean2.double(), trace2, root).item())
    design = np.stack([np.ones(len(sizes)), 1 / sizes], axis=1)
    return float(np.linalg.lstsq(design, np.array(values), rcond=None)[0][0])
