"""Can generated rows be told from real ones? A classifier, a kernel distance, copies."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dit_core.evaluate.metrics.intervals import REPLICATES, Metric, drawn_counts, plain, share

Classifier = Literal["forest", "quadratic"]
FOLDS = 5
TREES = 100
ROUNDS = 3
MOST = 2048  # rows of each kind in a kernel matrix
_BLOCK = 1024


def two_sample_accuracy(
    real: Tensor,
    labels: Tensor,
    generated: Tensor,
    asked: Tensor,
    kind: Classifier = "forest",
    seed: int = 0,
) -> Metric:
    """Return how often a classifier tells real rows (M, k) from generated ones (N, k).

    0.5 is indistinguishable. Equal numbers of both, predictions out of fold (5 folds; Lopez-Paz &
    Oquab 2017). With labels beside the features, rows of the wrong label count as wrong too.
    "forest", of 100 trees, cuts along features: it sees any shape of one or a few, but not a thin
    direction across many, which "quadratic" (discriminant analysis) does. Where there are several
    times M generated rows, up to 3 rounds against the next M of them are averaged; the interval is
    Wilson's for M draws: the predictions of 2M rows by classifiers that share them spread 1.5 times
    as far as independent ones (measured at 0.5), and all rounds share the real rows. No value below
    5 rows of either kind.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    m = min(len(real), len(generated))
    if m < FOLDS:
        return plain(None)
    hits = []
    for k in range(min(ROUNDS, len(generated) // m)):
        part = slice(k * m, (k + 1) * m)
        rows = np.concatenate(
            [_with_label(real[:m], labels[:m]), _with_label(generated[part], asked[part])]
        )
        made = np.repeat([0, 1], m)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed + k)
        hits.append(
            float(
                (
                    cross_val_predict(_classifier(kind, seed + k), rows, made, cv=folds) == made
                ).mean()
            )
        )
    return share(sum(hits) / len(hits), m)


def _classifier(kind: Classifier, seed: int) -> Any:
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier

    if kind == "forest":
        return RandomForestClassifier(n_estimators=TREES, random_state=seed, n_jobs=1)
    return QuadraticDiscriminantAnalysis(reg_param=1e-3)  # of the variance of standardised features


def _with_label(rows: Tensor, labels: Tensor) -> np.ndarray:
    return torch.cat([rows.float(), labels[:, None].float()], dim=1).numpy()


def mmd2(real: Tensor, generated: Tensor, seed: int = 0) -> Metric:
    """Return the squared maximum mean discrepancy; unbiased: around 0, even below, if equal.

    Gaussian kernel exp(-d^2 / 2 s^2) with s the median distance of all rows (Gretton et al. 2012,
    eq. 3). The interval is a bootstrap over the rows of both kinds, without pairs of a row with
    itself; 95 %, rather too wide near 0. At most 2,048 rows of each kind, the first; no value below
    2.
    """
    x = real[:MOST].double()
    y = generated[:MOST].double()
    if min(len(x), len(y)) < 2:
        return plain(None)
    n = len(x)
    both = torch.cat([x, y])
    width = torch.pdist(both).median().clamp(min=1e-150)
    kernel = torch.exp(-_distances(both, both).square_() / (2 * width.square()))
    value = _discrepancy(kernel, torch.ones(1, n).double(), torch.ones(1, len(y)).double())[
        0
    ].item()
    counts = (
        drawn_counts(n, REPLICATES, seed).double(),
        drawn_counts(len(y), REPLICATES, seed + 1).double(),
    )
    values = _discrepancy(kernel, *counts)
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"value": value, "low": low, "high": high}


def _discrepancy(kernel: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the unbiased estimate for rows counted a and b times, without self-pairs."""
    n = a.shape[1]

    def within(block: Tensor, counts: Tensor) -> Tensor:
        total = ((counts @ block) * counts).sum(dim=1) - counts.square() @ block.diagonal()
        return total / (counts.sum(dim=1).square() - counts.square().sum(dim=1))

    cross = ((a @ kernel[:n, n:]) * b).sum(dim=1) / (a.sum(dim=1) * b.sum(dim=1))
    return within(kernel[:n, :n], a) + within(kernel[n:, n:], b) - 2 * cross


def memorised(training: Tensor, generated: Tensor) -> Metric:
    """Return the share of rows three times nearer to one training row than to any other.

    The rule of Yoon et al. 2023; distances are Euclidean over standardised features. No value below
    2 training rows.
    """
    if len(training) < 2:
        return plain(None)
    copies = 0
    for block in generated.double().split(_BLOCK):
        nearest = _distances(block, training.double()).topk(2, dim=1, largest=False).values
        copies += int((nearest[:, 0] < nearest[:, 1] / 3).sum())
    return share(copies / len(generated), len(generated))


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # Not by a matrix product, which loses the distance of rows that are nearly equal.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
