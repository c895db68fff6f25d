"""Which law predicts a left-out model best: the honest way to choose among laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.laws.patch_law import design
from analysis.laws.power_terms import Problem, best, model
from analysis.laws.size_tokens import predict

Array = NDArray[np.float64]
MOST_FOLDS = 24
"""More configurations are left out several at a time, so that choosing stays quick."""


@dataclass(frozen=True, slots=True)
class Models:
    """One row per configuration, all positive (n,): forward Gmacs, parameters, tokens, patch, y."""

    gmacs: Array
    params: Array
    tokens: Array
    patch: Array
    y: Array

    def at(self, rows: NDArray[np.intp]) -> Models:
        """Return some of the rows."""
        every = (self.gmacs, self.params, self.tokens, self.patch, self.y)
        return Models(*(column[rows] for column in every))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A law's error on models that it did not see: rms of ln(predicted / measured), or why none."""

    law: str
    rms: float | None
    status: str = "ok"


def _line(have: Models, want: Models) -> Array:
    slope, constant = np.polyfit(np.log10(have.gmacs), have.y, 1)
    return np.asarray(constant + slope * np.log10(want.gmacs))


def _log_line(have: Models, want: Models) -> Array:
    return _by_squares(have, want, 2)


def _patch_law(have: Models, want: Models) -> Array:
    return _by_squares(have, want, 4)


def _by_squares(have: Models, want: Models, terms: int) -> Array:
    columns = design(np.log(have.gmacs), np.log(have.patch), terms)
    if np.linalg.matrix_rank(columns) < terms:
        raise ValueError("too few different models are left")
    found = np.linalg.lstsq(columns, np.log(have.y), rcond=None)[0]
    return np.asarray(np.exp(design(np.log(want.gmacs), np.log(want.patch), terms) @ found))


def _power_law(have: Models, want: Models) -> Array:
    problem = Problem.of(have.gmacs[:, None], have.y)
    theta, _, _ = best(problem)
    return np.asarray(
        np.exp(model(theta[None], np.log(want.gmacs)[:, None] - problem.centre)[0][0])
    )


def _size_tokens(have: Models, want: Models) -> Array:
    if len(np.unique(have.params)) < 2 or len(np.unique(have.tokens)) < 2:
        raise ValueError("too few sizes or patches are left")
    pairs = zip(want.params, want.tokens, strict=True)
    return np.array([predict(have.params, have.tokens, have.y, *pair).value for pair in pairs])


LAWS: dict[str, tuple[int, Callable[[Models, Models], Array]]] = {
    "line over log G": (4, _line),
    "pooled log line": (4, _log_line),
    "power law": (6, _power_law),
    "patch-aware law": (7, _patch_law),
    "size x tokens law": (5, _size_tokens),
}
"""The fewest configurations of each law, and its predictions for `want` from `have`."""


def leave_one_out(models: Models) -> tuple[LeftOut, ...]:
    """Return the error of every law on left-out models, best first; laws without one last."""
    found = [_left_out(name, models) for name in LAWS]
    return tuple(sorted(found, key=lambda one: np.inf if one.rms is None else one.rms))


def _left_out(name: str, models: Models) -> LeftOut:
    fewest, law = LAWS[name]
    n = len(models.y)
    if n < fewest:
        return LeftOut(name, None, f"too few configurations ({n} < {fewest})")
    folds = np.arange(n) % MOST_FOLDS
    predicted = np.empty(n)
    try:
        for fold in np.unique(folds):
            out = np.flatnonzero(folds == fold)
            predicted[out] = law(models.at(np.flatnonzero(folds != fold)), models.at(out))
    except (ValueError, np.linalg.LinAlgError) as error:
        return LeftOut(name, None, str(error))
    if not np.isfinite(predicted).all() or (predicted <= 0).any():
        return LeftOut(name, None, "predicts a value that is not positive")
    return LeftOut(name, float(np.sqrt((np.log(predicted / models.y) ** 2).mean())))
