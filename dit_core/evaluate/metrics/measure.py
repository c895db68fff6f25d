"""From features to the metrics of a protocol; the Fréchet distance is ours, the others are
torch-fidelity's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dit_core.evaluate.features.extractors import PIXELS, SPATIAL
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import Reference
from dit_core.evaluate.metrics.frechet import (
    bootstrap_interval,
    delta_interval,
    frechet,
    frechet_infinity,
)
from dit_core.evaluate.metrics.intervals import Metric, plain, share
from dit_core.evaluate.metrics.obedience import obedience, requested_of
from dit_core.evaluate.metrics.row_errors import errors, fine_truth, hidden_truth, whole_truth
from dit_core.evaluate.metrics.spectra import spectrum_metrics
from dit_core.evaluate.metrics.two_sample import memorised, mmd2, two_sample_accuracy
from dit_core.evaluate.protocol.metric_names import (
    COMPLETION,
    DETAIL,
    FIELDS,
    OBEDIENCE,
    SPECTRA,
    TWO_SAMPLE,
)
from dit_core.evaluate.protocol.protocol import Protocol
from dit_core.evaluate.samples.real_rows import Rows

BOOTSTRAP_WIDTH = 256
DISTANCES = (
    2**23
)  # distances held at once by precision and recall: 32 MB, whatever the number of samples


def measure(
    protocol: Protocol,
    batches: list[dict[str, Tensor]],
    reference: Reference,
    labels: Tensor,
    rows: Rows | None = None,
) -> dict[str, Metric]:
    """Return {metric: {"value", "low", "high"}} of features by batch and layer, (B, width) each,
    and labels (N,).

    `low` and `high` are 95 % intervals over the choice of samples, None where they are not
    computed. Sums are merged in the order of the batches, so processes and restarts give the same
    bits. The batches are emptied. `rows` are the real samples whose conditions were asked for,
    which some protocols measure against.
    """
    if protocol.fields:
        assert rows is not None
        return maps_against_rows(_joined(batches, protocol.layer), rows)
    moments = Moments.merged([Moments.of(batch[protocol.layer]) for batch in batches])
    spatial = [batch.pop(SPATIAL) for batch in batches if SPATIAL in batch]
    features = {layer: _joined(batches, layer) for layer in tuple(batches[0])}
    main = features[protocol.layer]
    found: dict[str, Metric] = {}
    for name in protocol.metrics:
        if name in ("fid", "fd_digits"):
            found[name] = _distance(moments, main, reference)
        elif name in ("fid_infinity", "fd_digits_infinity"):
            found[name] = plain(frechet_infinity(main, reference.mean, reference.covariance))
        elif name == "sfid":
            found[name] = _spatial(spatial, reference)
        elif name == "is":
            found[name] = inception_score(features["logits_unbiased"], protocol.is_splits)
        elif name == "kid":
            found[name] = kid(
                main, reference.features, protocol.kid_subsets, protocol.kid_subset_size
            )
        elif name == "agreement":
            found[name] = agreement(features["logits"], labels)
    if {"precision", "recall"} & set(protocol.metrics):
        found |= precision_recall(main, reference.features, protocol.neighbours)
    if rows is not None:
        found |= against_rows(protocol, features, labels, reference, rows)
    return {name: found[name] for name in protocol.metrics}


def against_rows(
    protocol: Protocol,
    features: dict[str, Tensor],
    labels: Tensor,
    reference: Reference,
    rows: Rows,
) -> dict[str, Metric]:
    """Return the protocol's metrics of samples against the real samples whose conditions they were
    asked for.
    """
    wanted = set(protocol.metrics)
    count = len(labels)
    found: dict[str, Metric] = {}
    for names, truth_of in ((COMPLETION, hidden_truth), (DETAIL, fine_truth)):
        if wanted & set(names):
            found |= dict(zip(names, errors(features[PIXELS], truth_of(rows, count)), strict=True))
    if wanted & set(OBEDIENCE):
        found |= obedience(features[PIXELS].view(count, 1, 8, 8), requested_of(rows, count))
    if wanted & set(TWO_SAMPLE):
        real = reference.features
        generated = features[protocol.layer]
        assert real is not None
        real_labels = rows.labels(range(len(rows)))
        trained = torch.cat([x.flatten(1) for x, _ in rows.trained_on()])
        tests = (
            *(
                two_sample_accuracy(real, real_labels, generated, labels, kind)
                for kind in ("forest", "quadratic")
            ),
            mmd2(real, generated),
            memorised(trained, generated),
        )
        found |= dict(zip(TWO_SAMPLE, tests, strict=True))
    return found


def maps_against_rows(samples: Tensor, rows: Rows) -> dict[str, Metric]:
    """Return the metrics of SPECTRA and FIELDS of maps (N, C H W) against the real ones of their
    rows.
    """
    x, _ = rows.truth(len(samples))
    found = dict(zip(SPECTRA, spectrum_metrics(samples.view(-1, *x.shape[1:]), x), strict=True))
    return found | dict(zip(FIELDS, errors(samples, whole_truth(rows, len(samples))), strict=True))


def _joined(batches: list[dict[str, Tensor]], layer: str) -> Tensor:
    """Return one layer of all batches, (N, width), taking it out of them as it goes: never two
    copies of all.
    """
    rows = sum(len(batch[layer]) for batch in batches)
    whole = batches[0][layer].new_empty(rows, batches[0][layer].shape[1])
    first = 0
    for batch in batches:
        part = batch.pop(layer)
        whole[first : first + len(part)] = part
        first += len(part)
    return whole


def _distance(moments: Moments, features: Tensor, reference: Reference) -> Metric:
    value = frechet(moments.mean(), moments.covariance(), reference.mean, reference.covariance)
    interval = bootstrap_interval if features.shape[1] <= BOOTSTRAP_WIDTH else delta_interval
    low, high = interval(features, reference.mean, reference.covariance)
    return {"value": value, "low": low, "high": high}


def _spatial(batches: list[Tensor], reference: Reference) -> Metric:
    assert reference.spatial is not None
    own = Moments.merged([Moments.of(batch) for batch in batches])
    return plain(frechet(own.mean(), own.covariance(), *reference.spatial))


def inception_score(logits: Tensor, splits: int = 10) -> Metric:
    """Return the Inception Score of logits (N, classes): mean over `splits` in the samples'
    order.
    """
    from torch_fidelity.metric_isc import isc_features_to_metric

    out = isc_features_to_metric(logits, splits=splits, shuffle=False)
    value = out["inception_score_mean"]
    half = 1.96 * out["inception_score_std"] / max(1, splits - 1) ** 0.5
    return {"value": value, "low": value - half, "high": value + half}


def kid(features: Tensor, real: Tensor | None, subsets: int = 100, size: int = 1000) -> Metric:
    """Return the kernel distance (polynomial, degree 3) of features (N, D) and real ones (M, D),
    mean over subsets.

    None where either side has fewer than `size` samples.
    """
    from torch_fidelity.metric_kid import kid_features_to_metric

    if real is None or min(len(features), len(real)) < size:
        return plain(None)
    out = kid_features_to_metric(
        features, real, kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return plain(out["kernel_inception_distance_mean"])


def precision_recall(
    features: Tensor, real: Tensor | None, neighbours: int = 3
) -> dict[str, Metric]:
    """Return improved precision and recall of features (N, D) against real ones (M, D), in blocks
    of rows.

    The intervals are those of a share of N (precision) or M (recall) independent draws, the
    neighbourhoods held fixed.
    """
    if real is None:
        return {"precision": plain(None), "recall": plain(None)}
    rows = min(1000, max(16, DISTANCES // max(len(features), len(real))))
    return {
        "precision": share(_covered(features, real, neighbours, rows), len(features)),
        "recall": share(_covered(real, features, neighbours, rows), len(real)),
    }


def _covered(points: Tensor, centres: Tensor, neighbours: int, rows: int) -> float:
    """Return the share of points (N, D) within the ball of any centre (M, D), which ends at its
    k-th neighbour.

    Distances and comparisons are those of torch-fidelity, bit for bit, without holding a row of all
    distances: the k-th of all is the k-th of the nearest in each block, and topk finds it in a
    fifth of kthvalue's time.
    """
    # the nearest of all is the centre itself
    blocks = centres.split(rows)
    found = neighbours + 1
    radii = []
    for own in blocks:
        near = [
            torch.cdist(own, block).topk(min(found, len(block)), largest=False).values
            for block in blocks
        ]
        radii.append(torch.cat(near, dim=1).topk(found, largest=False).values[:, -1])
    within = []
    for some in points.split(rows):
        hits = [(torch.cdist(some, b) <= r).any(dim=1) for b, r in zip(blocks, radii, strict=True)]
        within.append(torch.stack(hits).any(dim=0))
    return torch.cat(within).float().mean().item()


def agreement(logits: Tensor, labels: Tensor) -> Metric:
    """Return the share of samples that the classifier takes for the class they were asked for."""
    return share((logits.argmax(dim=1) == labels).double().mean().item(), len(labels))
