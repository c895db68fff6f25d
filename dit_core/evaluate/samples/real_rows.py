"""The real samples whose conditions an evaluation uses: held-out ones, else all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dit_core.data.load import load_data
from dit_core.data.places import place_of
from dit_core.data.sets.conditioned import ConditionedDataset
from dit_core.model.conditions import Conditions, Given
from dit_core.study.science.data import Data

BATCH = 256


@dataclass(frozen=True)
class Rows:
    """Sample i gets the conditions of row i mod m, and is compared with that row's sample."""

    training: ConditionedDataset
    """The samples that were trained on."""
    asked: ConditionedDataset
    """The m samples whose conditions are asked for; `training` itself where nothing is held out."""

    def __len__(self) -> int:
        """Return m."""
        return len(self.asked)

    def conditions(self, numbers: Sequence[int]) -> Given:
        """Return what the samples `numbers` are asked for, (B,) in each tensor."""
        return _batch(self.asked, np.asarray(numbers) % len(self))[1]

    def labels(self, numbers: Sequence[int]) -> Tensor:
        """Return the labels that the samples `numbers` are asked for, (B,) int64."""
        return torch.from_numpy(self.asked.labels[np.asarray(numbers) % len(self)])

    def truth(self, count: int) -> tuple[Tensor, Given]:
        """Return (x (n, C, H, W), conditions) of the first n = min(count, m) rows."""
        blocks = list(_blocks(self.asked, min(count, len(self))))
        conditions = [given for _, given in blocks]
        return torch.cat([x for x, _ in blocks]), _joined(conditions)

    def trained_on(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield (x (B, C, H, W), labels (B,)) of all training samples, block by block."""
        first = 0
        for x, _ in _blocks(self.training, len(self.training)):
            yield x, self.training.labels[first : first + len(x)]
            first += len(x)

    @cached_property
    def identity(self) -> dict[str, object]:
        """Return what a record keeps of the rows: how many, whether held out, sha256."""
        digest = hashlib.sha256()
        for x, given in _blocks(self.asked, len(self)):
            for part in (x, *(given if isinstance(given, Conditions) else [given])):
                if part is not None:
                    digest.update(part.contiguous().numpy().tobytes())
        held_out = self.asked is not self.training
        return {"count": len(self), "held_out": held_out, "sha256": digest.hexdigest()}


def rows_of(data: Data, labels: str, roots: dict[str, str]) -> Rows | None:
    """Return the rows whose conditions samples get; None where a rule gives the labels.

    `labels` is the protocol's label mode; data with more conditions than labels have rows in any.
    Raises what `load_data` raises: EnvironmentProblem where the data are not there, DataError where
    they are others.
    """
    if not data.conditions and labels != "data":
        return None
    training = load_data(data, place_of(data.name, roots))
    assert isinstance(training, ConditionedDataset)  # data with conditions, and vectors, are
    return Rows(training, training.held_out())


def _batch(dataset: ConditionedDataset, index: np.ndarray) -> tuple[Tensor, Given]:
    return dataset.batch(index, index, 0)


def _blocks(dataset: ConditionedDataset, count: int) -> Iterator[tuple[Tensor, Given]]:
    for first in range(0, count, BATCH):
        yield _batch(dataset, np.arange(first, min(first + BATCH, count)))


def _joined(blocks: list[Given]) -> Given:
    first = blocks[0]
    if isinstance(first, Tensor):
        return torch.cat([block for block in blocks if isinstance(block, Tensor)])
    parts: Iterator[tuple[Tensor, ...]] = zip(*blocks, strict=True)
    joined: list[Any] = [None if part[0] is None else torch.cat(part) for part in parts]
    return Conditions(*joined)
