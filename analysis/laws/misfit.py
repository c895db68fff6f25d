"""Lack of fit: how far a law misses its own data, beside the noise, and where.

A law that misses sizes or patches as a whole has the wrong form, however narrow its interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MISFIT = 2.0
"""A law whose residuals are this many times the noise does not have the form of the data."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The residuals of a fit as shares of the value (`is_relative`) or in the metric's unit."""

    rms: float
    """Root of the sum of squares over the degrees of freedom left by the fit."""
    noise_sd: float | None
    """Of one configuration's mean, on the same scale; None where nothing was repeated."""
    is_relative: bool
    by_size: tuple[tuple[str, float], ...] = ()
    """Mean residual (measured minus law) of each size, in the order of the rows."""
    by_patch: tuple[tuple[str, float], ...] = ()

    @property
    def is_seen(self) -> bool:
        """Return whether the residuals are far larger than the noise."""
        return self.noise_sd is not None and self.rms > MISFIT * self.noise_sd

    def words(self) -> str:
        """Return "misses by 16% (noise 3%); by size S +10%, B -2%; by patch ..."."""
        text = f"misses by {self._one(self.rms)}"
        if self.noise_sd is not None:
            text += f" (noise {self._one(self.noise_sd)})"
        for what, rows in (("size", self.by_size), ("patch", self.by_patch)):
            if len(rows) > 1:
                text += f"; by {what} " + ", ".join(f"{k} {self._one(v, '+')}" for k, v in rows)
        return text

    def _one(self, value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.0f}%" if self.is_relative else f"{value:{sign}.3g}"


@dataclass(frozen=True, slots=True)
class Labels:
    """What each configuration belongs to, and the noise of its mean on the log scale, if known."""

    size: NDArray[np.str_]
    patch: NDArray[np.str_]
    noise_sd: float | None = None

    @property
    def clusters(self) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        """The groupings whose points may deviate together."""
        return self.size, self.patch


def misfit_of(
    y: ArrayLike, fitted: ArrayLike, parameters: int, labels: Labels, is_relative: bool = True
) -> Misfit | None:
    """Return the lack of fit of y (n,); None where the fit leaves no degree of freedom.

    On the log scale unless `is_relative` is false: then in the metric's unit, the noise at the
    median y.
    """
    measured = np.asarray(y, float)
    law = np.asarray(fitted, float)
    left = len(measured) - parameters
    if left < 1 or (is_relative and ((measured <= 0).any() or (law <= 0).any())):
        return None
    residual = np.log(measured / law) if is_relative else measured - law
    noise = labels.noise_sd
    if noise is not None and not is_relative:
        noise = noise * float(np.abs(np.median(measured)))
    return Misfit(
        float(np.sqrt((residual**2).sum() / left)),
        noise,
        is_relative,
        _means(residual, labels.size),
        _means(residual, labels.patch),
    )


def _means(residual: Array, labels: NDArray[np.str_]) -> tuple[tuple[str, float], ...]:
    return tuple((str(k), float(residual[labels == k].mean())) for k in dict.fromkeys(labels))
