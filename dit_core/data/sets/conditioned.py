"""Samples with more than a label beside them, and some kept out of training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dit_core.data.sets.spatial import held_out
from dit_core.data.sets.tables import standardise
from dit_core.model.conditions import Conditions, Given, take

Standard = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ConditionedDataset:
    """Samples and conditions in memory (or mapped), of which `rows` are this data set."""

    x: Tensor
    """All samples (n, C, H, W), float32 in the network's range or uint8."""
    given: Given
    """Labels of all samples, or conditions."""
    rows: np.ndarray
    """Indices of this data set's samples among all."""
    kept: np.ndarray
    """Indices of the samples kept out of training; none where nothing is."""
    standard: Standard | None = None
    """Mean and deviation (n,) of the continuous condition over training: v * std + mean."""

    @property
    def labels(self) -> np.ndarray:
        """Return the labels (n,) int64 of this data set's samples."""
        label = self.given.label if isinstance(self.given, Conditions) else self.given
        rows: np.ndarray = label.numpy()[self.rows]
        return rows

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def batch(self, indices: np.ndarray, stream: np.ndarray, seed: int) -> tuple[Tensor, Given]:
        """Return x (B, C, H, W) float32 and conditions of `indices`; see `Dataset.batch`."""
        index = torch.from_numpy(self.rows[np.asarray(indices)])
        x = self.x.index_select(0, index)
        if x.dtype == torch.uint8:
            x = x.float().div_(127.5).sub_(1)
        return x, take(self.given, index)

    def held_out(self) -> ConditionedDataset:
        """Return the samples kept out of training; all of this data set where none are."""
        return replace(self, rows=self.kept) if len(self.kept) else self


def conditioned(
    x: Tensor,
    labels: Tensor,
    share: float,
    vector: np.ndarray | None = None,
    names: tuple[str, ...] = (),
    context: Tensor | None = None,
    mask: Tensor | None = None,
    map_: Tensor | None = None,
) -> ConditionedDataset:
    """Return the data set of samples x (n, C, H, W), with `share` of each label kept out.

    `vector` (n, k) holds parameters in their own units, called `names`; they are standardised by
    the training samples. Raises DataError naming row and parameter that is not finite, and a
    parameter that is constant.
    """
    if share:
        rows, kept = held_out(labels.numpy(), share)
    else:
        rows = np.arange(len(labels))
        kept = np.empty(0, dtype=np.int64)
    standard = None
    scaled = None
    if vector is not None:
        standardise(vector, names)  # names what is wrong with any row, those kept out included
        _, mean, std = standardise(vector[rows], names)
        standard = (mean, std)
        scaled = torch.from_numpy(((vector - mean) / std).astype(np.float32))
    plain = scaled is None and context is None and map_ is None
    given: Given = labels if plain else Conditions(labels, scaled, context, mask, map_)
    return ConditionedDataset(x, given, rows, kept, standard)
