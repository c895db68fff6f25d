"""Tables as vectors: standardised features, labels, and modules that group features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dit_core.errors import DataError, nearest
from dit_core.study.catalogue.data_sets import DATA_SETS

Modules = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Table:
    """A labelled table, standardised; x * std + mean (k,) gives the units back."""

    x: np.ndarray
    """Rows (n, k) float32, each feature of mean 0 and variance 1."""
    labels: np.ndarray
    """Labels (n,) int64."""
    features: tuple[str, ...]
    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    modules: Modules
    """Groups of features by name, for `model.tokens: modules`; empty where the row names none."""


def table(name: str) -> Table:
    """Return a table of scikit-learn: breast-cancer (569 x 30) or wine (178 x 13).

    Raises DataError for another name. Source: UCI, Wolberg et al. 1995; Aeberhard & Forina 1991.
    """
    tables = {row.name: row for row in DATA_SETS.values() if row.kind == "table"}
    if name not in tables:
        raise DataError(f"no table {name!r}{nearest(name, tables)}; tables are {', '.join(tables)}")
    from sklearn import datasets

    loaded = getattr(datasets, tables[name].source)()
    features = tuple(map(str, loaded.feature_names))
    modules = tables[name].groups
    if modules:
        module_indices(modules, features)
    x, mean, std = standardise(loaded.data, features)
    return Table(
        x,
        loaded.target.astype(np.int64),
        features,
        tuple(map(str, loaded.target_names)),
        mean,
        std,
        modules,
    )


def standardise(
    values: np.ndarray, features: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (n, k) float32 of mean 0 and variance 1, the means and deviations.

    Raises DataError naming row and feature of a value that is not finite, a feature that is
    constant, and a table whose width is not the number of features.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(features) or not len(values):
        raise DataError(
            f"table has shape {values.shape}; wanted is (rows, {len(features)}), one column a "
            "feature"
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"row {row}, {features[column]!r} is {values[row, column]} ({len(bad)} values are not "
            "finite)"
        )
    mean = values.mean(axis=0)
    std = values.std(axis=0)
    for name, low, high in zip(features, values.min(axis=0), values.max(axis=0), strict=True):
        if low == high:
            raise DataError(
                f"feature {name!r} is {low:g} in every row; a constant has no scale: leave it out"
            )
    return ((values - mean) / std).astype(np.float32), mean, std


def module_indices(
    modules: Mapping[str, Sequence[str]], features: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return for each module the indices of its features; each is in exactly one module.

    Raises DataError naming a feature that is unknown, in two modules, or in none, and a module
    without features.
    """
    place = {name: i for i, name in enumerate(features)}
    seen: dict[str, str] = {}
    for module, members in modules.items():
        if not members:
            raise DataError(f"module {module!r} has no features")
        for name in members:
            if name not in place:
                raise DataError(f"module {module!r}: no feature {name!r}{nearest(name, features)}")
            if name in seen:
                raise DataError(
                    f"feature {name!r} is in module {seen[name]!r} and in module {module!r}"
                )
            seen[name] = module
    left = [name for name in features if name not in seen]
    if left:
        raise DataError(
            f"{len(left)} features are in no module: "
            f"{', '.join(left[:5])}{', …' if left[5:] else ''}"
        )
    return {
        module: np.array([place[name] for name in members]) for module, members in modules.items()
    }
