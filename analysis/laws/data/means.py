"""Seeds averaged before a fit: one row per configuration, so that seeds do not pass for models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Means:
    """`columns` (n, k) and `y` (n,) of n configurations, and what each belongs to."""

    columns: Array
    y: Array
    clusters: tuple[NDArray[np.str_], ...]


def means_of(
    xs: Sequence[ArrayLike],
    y: ArrayLike,
    groups: ArrayLike | None,
    clusters: Sequence[ArrayLike] = (),
) -> Means:
    """Return one row per group: the first x, the mean of y (geometric where all are positive).

    Without `groups` every point is a configuration. Rows keep the order of first appearance.
    """
    columns = [np.asarray(x, float) for x in xs]
    values = np.asarray(y, float)
    if len({len(c) for c in (*columns, values)}) > 1:
        raise ValueError(f"columns of different length: {[len(c) for c in (*columns, values)]}")
    names = np.arange(len(values)) if groups is None else np.asarray(groups).astype(str)
    _, first, codes = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    means = np.array([_mean(values[codes == code]) for code in order], float)
    rows = first[order]
    return Means(
        np.stack([c[rows] for c in columns], 1) if len(rows) else np.empty((0, len(columns))),
        means,
        tuple(np.asarray(c).astype(str)[rows] for c in clusters),
    )


def _mean(values: Array) -> float:
    if np.isfinite(values).all() and (values > 0).all():
        return float(np.exp(np.log(values).mean()))
    return float(values.mean())
