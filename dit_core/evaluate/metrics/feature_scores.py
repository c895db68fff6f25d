"""Metrics of features that torch-fidelity computes, and the classifier's agreement with labels."""

from __future__ import annotations

from torch import Tensor

from dit_core.evaluate.metrics.intervals import Metric, plain, share


def inception_score(logits: Tensor, splits: int = 10) -> Metric:
    """Return the Inception Score of logits (N, classes), the mean over `splits` in sample order."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    out = isc_features_to_metric(logits, splits=splits, shuffle=False)
    value = out["inception_score_mean"]
    half = 1.96 * out["inception_score_std"] / max(1, splits - 1) ** 0.5
    return {"value": value, "low": value - half, "high": value + half}


def kid(features: Tensor, real: Tensor | None, subsets: int = 100, size: int = 1000) -> Metric:
    """Return the kernel distance of features (N, D) to real ones (M, D), the mean over subsets.

    The kernel is a polynomial of degree 3. No value where either side has fewer than `size`
    samples.
    """
    from torch_fidelity.metric_kid import kid_features_to_metric

    if real is None or min(len(features), len(real)) < size:
        return plain(None)
    out = kid_features_to_metric(
        features, real, kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return plain(out["kernel_inception_distance_mean"])


def agreement(logits: Tensor, labels: Tensor) -> Metric:
    """Return the share of samples that the classifier assigns to the requested class."""
    return share((logits.argmax(dim=1) == labels).double().mean().item(), len(labels))
