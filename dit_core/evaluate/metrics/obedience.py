"""Obedience: the requested parameters of a digit against those measured on it."""

from __future__ import annotations

import torch
from torch import Tensor

from dit_core.data.sets.measures import MEASURES, measures
from dit_core.errors import DataError
from dit_core.evaluate.metrics.intervals import Metric, bootstrapped, plain
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.model.conditions import Conditions


def obedience(samples: Tensor, requested: Tensor) -> dict[str, Metric]:
    """Return R2 and slope of each parameter for digits (N, 1, 8, 8) and requests (N, 3).

    R2 is 1 - sum (measured - requested)^2 / sum (requested - mean)^2: how much of the spread asked
    for arrives where it was asked for, so that a bias or a wrong slope counts against it; it is
    below 0 for worse than no answer. The slope is that of the least-squares line of measured on
    requested. A blank digit has ink 0 and neither slant nor width: it is left out of those two.
    Intervals: 95 %, bootstrap over samples.
    """
    found = measures(samples).double()
    blank = (samples <= -1).flatten(1).all(dim=1)
    found[blank, MEASURES.index("ink")] = 0.0
    metrics: dict[str, Metric] = {}
    for k, name in enumerate(MEASURES):
        there = torch.isfinite(found[:, k])
        metrics[f"{name}_r2"], metrics[f"{name}_slope"] = agreement_of(
            requested[there, k].double(), found[there, k]
        )
    return metrics


def agreement_of(requested: Tensor, measured: Tensor) -> tuple[Metric, Metric]:
    """Return R2 and slope of measured against requested, (N,); none for fewer than 3.

    A constant has none either.
    """
    n = len(requested)
    if n < 3 or bool((requested == requested[0]).all()):
        return plain(None), plain(None)
    error = (measured - requested).square()
    # About its mean, so that sums of squares are not differences of nearly equal numbers.
    x = requested - requested.mean()
    y = measured - measured.mean()

    def spread(weights: Tensor) -> Tensor:
        return weights @ x.square() - (weights @ x).square()

    def r2(weights: Tensor) -> Tensor:
        return 1 - (weights @ error) / spread(weights)

    def slope(weights: Tensor) -> Tensor:
        return (weights @ (x * y) - (weights @ x) * (weights @ y)) / spread(weights)

    return bootstrapped(r2, n), bootstrapped(slope, n)


def requested_of(rows: Rows, count: int) -> Tensor:
    """Return the parameters that samples 0 ..

    count - 1 were asked for, in their own units, (count, 3) float32.

    Raises DataError where the data do not say how their vectors were standardised.
    """
    standard = rows.training.standard
    if standard is None:
        raise DataError(
            "the data do not say how their condition vectors were standardised; obedience has no "
            "units"
        )
    given = rows.conditions(range(count))
    assert isinstance(given, Conditions)
    assert given.vector is not None
    mean, std = (torch.as_tensor(part, dtype=torch.float64) for part in standard)
    return (given.vector.double() * std + mean).float()
