"""Improved precision and recall (Kynkäänniemi et al. 2019), without holding all distances."""

from __future__ import annotations

import torch
from torch import Tensor

from dit_core.evaluate.metrics.intervals import Metric, plain, share

# Distances held at once: 32 MB, whatever the number of samples.
DISTANCES = 2**23


def precision_recall(
    features: Tensor, real: Tensor | None, neighbours: int = 3
) -> dict[str, Metric]:
    """Return precision and recall of features (N, D) against real ones (M, D), in blocks of rows.

    The intervals are those of a share of N (precision) or M (recall) independent draws, with the
    neighbourhoods fixed. No values where the reference kept no features.
    """
    if real is None:
        return {"precision": plain(None), "recall": plain(None)}
    rows = min(1000, max(16, DISTANCES // max(len(features), len(real))))
    return {
        "precision": share(_covered(features, real, neighbours, rows), len(features)),
        "recall": share(_covered(real, features, neighbours, rows), len(real)),
    }


def _covered(points: Tensor, centres: Tensor, neighbours: int, rows: int) -> float:
    """Return the share of points (N, D) inside any centre's ball, up to its k-th neighbour.

    Distances and comparisons are those of torch-fidelity, bit for bit, but one row of all distances
    is never held: the k-th nearest of all is the k-th of the nearest in each block. topk finds it
    in a fifth of kthvalue's time.
    """
    blocks = torch.split(centres, rows)
    radii = torch.cat([_radii(own, blocks, neighbours) for own in blocks]).split(rows)
    within = []
    for some in torch.split(points, rows):
        hits = [(torch.cdist(some, b) <= r).any(dim=1) for b, r in zip(blocks, radii, strict=True)]
        within.append(torch.stack(hits).any(dim=0))
    return torch.cat(within).float().mean().item()


def _radii(own: Tensor, blocks: tuple[Tensor, ...], neighbours: int) -> Tensor:
    """Return the distance from each of `own` (B, D) to its k-th neighbour in all blocks, (B,)."""
    found = neighbours + 1  # the nearest of all is the centre itself
    near = [
        torch.cdist(own, block).topk(min(found, len(block)), largest=False).values
        for block in blocks
    ]
    return torch.cat(near, dim=1).topk(found, largest=False).values[:, -1]
