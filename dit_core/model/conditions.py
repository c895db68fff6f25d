"""What a sample is conditioned on: its label and, where the data have more, vector, tokens, map.

Everything that passes conditions on (training loop, guidance, samplers) takes either a plain tensor
of labels (B,), which is all that the paper's models know, or `Conditions`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Conditions(NamedTuple):
    """Conditions of B samples; None is a condition that the model does not have.

    Each has its own null value.
    """

    label: Tensor
    """Class numbers (B,) int64; the null class is the number of classes."""
    vector: Tensor | None = None
    """Standardised continuous parameters (B, n) float32; the null is a row of NaN."""
    context: Tensor | None = None
    """Token embeddings made beforehand (B, M, D) float32."""
    mask: Tensor | None = None
    """Which tokens of `context` are there, (B, M) bool; the null has none."""
    map: Tensor | None = None
    """Maps (B, C', h, w) float32; the null is a map of NaN."""


Given = Tensor | Conditions


def size(given: Given) -> int:
    """Return the number of samples B."""
    return len(labels_of(given))


def labels_of(given: Given) -> Tensor:
    """Return the labels (B,)."""
    return given.label if isinstance(given, Conditions) else given


def to_device(given: Given, device: torch.device) -> Given:
    """Return the conditions on `device`, without waiting for the copy."""
    return _each(given, lambda part: part.to(device, non_blocking=True))


def take(given: Given, index: slice | Tensor) -> Given:
    """Return the samples at `index`."""
    return _each(given, lambda part: part[index])


def pinned(given: Given) -> Given:
    """Return the conditions in page-locked memory."""
    return _each(given, Tensor.pin_memory)


def joined(first: Given, second: Given) -> Given:
    """Return the samples of both, (2B,) in each tensor; both have the same conditions."""
    if isinstance(first, Conditions) and isinstance(second, Conditions):
        pairs = zip(first, second, strict=True)
        found = [None if a is None or b is None else torch.cat([a, b]) for a, b in pairs]
        return Conditions._make(found)
    return torch.cat([labels_of(first), labels_of(second)])


def null_like(given: Given, null_class: int) -> Given:
    """Return as many samples without any condition."""
    if not isinstance(given, Conditions):
        return torch.full_like(given, null_class)
    all_off = torch.ones_like(given.label, dtype=torch.bool)
    return Conditions(
        torch.full_like(given.label, null_class),
        _without(given.vector, all_off, torch.nan),
        given.context,
        _without(given.mask, all_off, False),
        _without(given.map, all_off, torch.nan),
    )


def dropped(
    given: Given, drop: Tensor, null_class: int, label: float, others: tuple[float, float, float]
) -> Given:
    """Return the conditions, each one null where its probability is above `drop` (B,).

    `drop` is uniform in [0, 1). `label` and `others` (vector, context, map) are probabilities. One
    draw decides for all conditions of a sample, so that equal probabilities drop them together: the
    network then learns the unconditional distribution that guidance subtracts, which independent
    draws would show it in p^k of the samples only.
    """
    labels = torch.where(drop < label, null_class, labels_of(given))
    if not isinstance(given, Conditions):
        return labels
    vector, context, map_ = others
    return Conditions(
        labels,
        _without(given.vector, drop < vector, torch.nan),
        given.context,
        _without(given.mask, drop < context, False),
        _without(given.map, drop < map_, torch.nan),
    )


def _without(part: Tensor | None, off: Tensor, null: float | bool) -> Tensor | None:
    if part is None:
        return None
    return part.masked_fill(off.view(-1, *[1] * (part.dim() - 1)), null)


def _each(given: Given, change: Callable[[Tensor], Tensor]) -> Given:
    if isinstance(given, Conditions):
        return Conditions._make(None if part is None else change(part) for part in given)
    return change(given)
