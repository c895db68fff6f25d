"""From features to the metrics of a protocol: one function per metric, looked up by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.evaluate.features.extractors import PIXELS, SPATIAL
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import Reference
from dit_core.evaluate.metrics.feature_scores import agreement, inception_score, kid
from dit_core.evaluate.metrics.frechet import (
    bootstrap_interval,
    delta_interval,
    frechet,
    frechet_infinity,
)
from dit_core.evaluate.metrics.intervals import Metric, plain
from dit_core.evaluate.metrics.obedience import obedience, requested_of
from dit_core.evaluate.metrics.precision_recall import precision_recall
from dit_core.evaluate.metrics.row_errors import (
    Truth,
    errors,
    fine_truth,
    hidden_truth,
    whole_truth,
)
from dit_core.evaluate.metrics.spectra import spectrum_metrics
from dit_core.evaluate.metrics.two_sample import memorised, mmd2, two_sample_accuracy
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.study.catalogue.metrics import family
from dit_core.study.catalogue.protocol import Protocol

# Up to this many features the Fréchet distance is bootstrapped; beyond, the delta method is
# cheaper.
BOOTSTRAP_WIDTH = 256


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the metrics of one evaluation are computed from, for N samples."""

    protocol: Protocol
    features: dict[str, Tensor]
    """By layer, (N, width) float32 each."""
    moments: dict[str, Moments]
    """By layer: of the protocol's own, and of the spatial features where there are any."""
    labels: Tensor
    """Requested labels, (N,) int64."""
    reference: Reference
    rows: Rows | None
    """The real samples whose conditions were requested; None where labels alone were."""

    @property
    def main(self) -> Tensor:
        """Return the features of the protocol's layer, (N, D)."""
        return self.features[self.protocol.layer]

    @property
    def real_rows(self) -> Rows:
        """Return the rows of a protocol that measures against them."""
        assert self.rows is not None
        return self.rows


Measured = dict[str, Metric]


def measure(
    protocol: Protocol,
    batches: list[dict[str, Tensor]],
    reference: Reference,
    labels: Tensor,
    rows: Rows | None = None,
) -> Measured:
    """Return {metric: {"value", "low", "high"}} of batches of features by layer and labels (N,).

    `low` and `high` are 95 % intervals over the choice of samples, None where they are not
    computed. Sums are merged in the order of the batches, so processes and restarts give the same
    bits. The batches are emptied. `rows` are the real samples whose conditions were requested.
    """
    # Maps have no moments: a covariance of all their elements would not fit into memory.
    moments = {} if protocol.fields else {protocol.layer: _moments(batches, protocol.layer)}
    if SPATIAL in batches[0]:
        moments[SPATIAL] = _moments(batches, SPATIAL)
        for batch in batches:
            del batch[SPATIAL]
    features = {layer: _joined(batches, layer) for layer in tuple(batches[0])}
    inputs = Inputs(protocol, features, moments, labels, reference, rows)
    found: Measured = {}
    for name in protocol.metrics:
        if name not in found:  # a function may return several metrics
            found |= FUNCTIONS[name](inputs)
    return {name: found[name] for name in protocol.metrics}


def _moments(batches: list[dict[str, Tensor]], layer: str) -> Moments:
    return Moments.merged([Moments.of(batch[layer]) for batch in batches])


def _joined(batches: list[dict[str, Tensor]], layer: str) -> Tensor:
    """Return one layer of all batches, (N, width), and take it out of them.

    Each batch is freed as it is copied: there are never two copies of all.
    """
    rows = sum(len(batch[layer]) for batch in batches)
    whole = batches[0][layer].new_empty(rows, batches[0][layer].shape[1])
    first = 0
    for batch in batches:
        part = batch.pop(layer)
        whole[first : first + len(part)] = part
        first += len(part)
    return whole


def _distance(given: Inputs) -> Measured:
    reference = given.reference
    own = given.moments[given.protocol.layer]
    value = frechet(own.mean(), own.covariance(), reference.mean, reference.covariance)
    narrow = given.main.shape[1] <= BOOTSTRAP_WIDTH
    interval = bootstrap_interval if narrow else delta_interval
    low, high = interval(given.main, reference.mean, reference.covariance)
    # One computation under two names: the scale of fd_digits has nothing to do with FID's.
    metric: Metric = {"value": value, "low": low, "high": high}
    return {"fid": metric, "fd_digits": metric}


def _distance_infinity(given: Inputs) -> Measured:
    reference = given.reference
    metric = plain(frechet_infinity(given.main, reference.mean, reference.covariance))
    return {"fid_infinity": metric, "fd_digits_infinity": metric}


def _spatial(given: Inputs) -> Measured:
    assert given.reference.spatial is not None
    own = given.moments[SPATIAL]
    return {"sfid": plain(frechet(own.mean(), own.covariance(), *given.reference.spatial))}


def _inception_score(given: Inputs) -> Measured:
    return {"is": inception_score(given.features["logits_unbiased"], given.protocol.is_splits)}


def _kid(given: Inputs) -> Measured:
    protocol = given.protocol
    real = given.reference.features
    return {"kid": kid(given.main, real, protocol.kid_subsets, protocol.kid_subset_size)}


def _precision_recall(given: Inputs) -> Measured:
    return precision_recall(given.main, given.reference.features, given.protocol.neighbours)


def _agreement(given: Inputs) -> Measured:
    return {"agreement": agreement(given.features["logits"], given.labels)}


def _completion(given: Inputs) -> Measured:
    return _errors("completion", given, given.features[PIXELS], hidden_truth)


def _detail(given: Inputs) -> Measured:
    return _errors("detail", given, given.features[PIXELS], fine_truth)


def _fields(given: Inputs) -> Measured:
    return _errors("fields", given, given.main, whole_truth)


def _errors(
    names: str, given: Inputs, samples: Tensor, truth_of: Callable[[Rows, int], Truth]
) -> Measured:
    found = errors(samples, truth_of(given.real_rows, len(samples)))
    return dict(zip(family(names), found, strict=True))


def _spectra(given: Inputs) -> Measured:
    x, _ = given.real_rows.truth(len(given.main))
    found = spectrum_metrics(given.main.view(-1, *x.shape[1:]), x)
    return dict(zip(family("spectra"), found, strict=True))


def _obedience(given: Inputs) -> Measured:
    count = len(given.labels)
    digits = given.features[PIXELS].view(count, 1, 8, 8)
    return obedience(digits, requested_of(given.real_rows, count))


def _two_samples(given: Inputs) -> Measured:
    rows = given.real_rows
    real = given.reference.features
    assert real is not None
    real_labels = rows.labels(range(len(rows)))
    trained = torch.cat([x.flatten(1) for x, _ in rows.trained_on()])
    generated = given.main
    return {
        "two_sample_accuracy": two_sample_accuracy(
            real, real_labels, generated, given.labels, "forest"
        ),
        "quadratic_accuracy": two_sample_accuracy(
            real, real_labels, generated, given.labels, "quadratic"
        ),
        "mmd2": mmd2(real, generated),
        "memorised": memorised(trained, generated),
    }


FUNCTIONS: dict[str, Callable[[Inputs], Measured]] = {
    "fid": _distance,
    "fd_digits": _distance,
    "fid_infinity": _distance_infinity,
    "fd_digits_infinity": _distance_infinity,
    "sfid": _spatial,
    "is": _inception_score,
    "kid": _kid,
    "agreement": _agreement,
    **dict.fromkeys(family("coverage"), _precision_recall),
    **dict.fromkeys(family("completion"), _completion),
    **dict.fromkeys(family("detail"), _detail),
    **dict.fromkeys(family("fields"), _fields),
    **dict.fromkeys(family("spectra"), _spectra),
    **dict.fromkeys(family("obedience"), _obedience),
    **dict.fromkeys(family("two samples"), _two_samples),
}
