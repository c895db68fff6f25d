"""The size x tokens law: quality by parameters N and tokens T, with weak priors.

ln y = c + a n + b t + k n t + q n^2 + r t^2, with n = ln N and t = ln T centred. A few models
cannot tell six numbers, so each is drawn towards what scaling studies found (Gaussian priors); the
noise is on a grid, weighed by its likelihood and a log-normal prior. All of it is linear algebra.

On the paper's twelve models it predicts a left-out one more exactly than laws over forward compute,
because compute holds size and tokens together and quality does not depend on them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from analysis.laws.data.estimate import Estimate, HeldOut
from analysis.laws.data.unfit import unfit

Array = NDArray[np.float64]
NAMES = ("constant", "ln N", "ln T", "ln N x ln T", "(ln N)^2", "(ln T)^2")
PRIOR_MEAN = np.array([0.0, -0.25, -0.4, 0.0, 0.0, 0.0])
PRIOR_SD = np.array([3.0, 0.5, 1.0, 0.15, 0.05, 0.05])
SIGMA = (0.04, 0.7)
"""Of the noise: median and spread of its log-normal prior."""
SIGMAS = np.exp(np.linspace(np.log(0.004), np.log(0.6), 41))
FEWEST = 4
FAR = 4.0
"""Beyond this factor outside the sizes or tokens of the data a prediction is warned of."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """y of a model: median and 95 % interval, and how far it lies beyond the data."""

    value: float
    low: float
    high: float
    beyond_size: float
    beyond_tokens: float

    @property
    def warning(self) -> str:
        """Say how far the prediction reaches, "" where it stays within a factor of 4."""
        far = [
            f"{factor:.3g} times outside the {what} of the data"
            for what, factor in (("sizes", self.beyond_size), ("tokens", self.beyond_tokens))
            if factor > FAR
        ]
        return "; ".join(far)


@dataclass(frozen=True, slots=True)
class _Posterior:
    """Per sigma of the grid: weights (K,), means (K, 6), covariances (K, 6, 6), sigmas (K,)."""

    weights: Array
    means: Array
    covariances: Array
    sigmas: Array

    def interval(self, row: Array, noise: bool, level: float = 0.95) -> tuple[float, float, float]:
        """Return the median and the ends of row @ coefficients, with the noise of a new point."""
        centres = self.means @ row
        spread = np.einsum("i,kij,j->k", row, self.covariances, row) + noise * self.sigmas**2
        spread = np.sqrt(np.maximum(spread, 1e-300))
        low = float((centres - 9 * spread).min())
        high = float((centres + 9 * spread).max())

        def at(share: float) -> float:
            def missing(value: float) -> float:
                return float(self.weights @ special.ndtr((value - centres) / spread)) - share

            return float(optimize.brentq(missing, low, high))

        return at(0.5), at((1 - level) / 2), at((1 + level) / 2)


@dataclass(frozen=True, slots=True)
class SizeTokens:
    """The law; no coefficients where `status` says why."""

    n: int
    coefficients: tuple[Estimate, ...] = ()
    names: tuple[str, ...] = NAMES
    status: str = "ok"
    held_out: HeldOut | None = None
    data: tuple[Array, Array, Array] | None = field(default=None, repr=False)

    def at(self, params: float, tokens: float) -> Prediction:
        """Return the prediction for a model; raises ValueError where there is no law."""
        if self.data is None:
            raise ValueError(f"there is no law: {self.status}")
        return predict(*self.data, params, tokens)

    def fitted(self, models: Sequence[tuple[float, float]]) -> Array:
        """Return the law's y for models (N, T); raises ValueError where there is no law."""
        return np.array([self.at(*model).value for model in models])


def size_tokens(
    params: ArrayLike, tokens: ArrayLike, y: ArrayLike, *, held_out: bool = True
) -> SizeTokens:
    """Return the law through y (n,) at N and T, one row per configuration.

    Needs four configurations, two sizes and two numbers of tokens. The model with the largest N T
    is held out once.
    """
    n, t, v = (np.asarray(a, float) for a in (params, tokens, y))
    columns = np.stack([n, t], 1) if len(n) == len(t) else np.empty((0, 2))
    status = "" if len(v) >= FEWEST else f"too few configurations ({len(v)} < {FEWEST})"
    for what, values in (("size", n), ("number of tokens (patch size)", t)):
        if not status and len(np.unique(values)) < 2:
            status = f"needs two values of {what}"
    status = status or unfit(columns, v, FEWEST, "configurations", positive=True)
    if status:
        return SizeTokens(len(v), names=(), status=status)
    posterior, _ = _posterior(n, t, v)
    estimates = tuple(Estimate(*posterior.interval(row, False)) for row in np.eye(len(NAMES)))
    held = _hold_out(n, t, v) if held_out else None
    return SizeTokens(len(v), estimates, held_out=held, data=(n, t, v))


def predict(n: Array, t: Array, y: Array, params: float, tokens: float) -> Prediction:
    """Return the prediction for one model from data (n, t, y), each (k,)."""
    posterior, centre = _posterior(n, t, y)
    row = _design(np.array([params]), np.array([tokens]), centre)[0]
    value, low, high = (float(np.exp(v)) for v in posterior.interval(row, True))
    return Prediction(value, low, high, beyond(n, params), beyond(t, tokens))


def beyond(data: Array, value: float) -> float:
    """Return how many times outside the data's range a value lies; 1 inside."""
    return float(max(value / data.max(), data.min() / value, 1.0))


def _design(n: Array, t: Array, centre: Array) -> Array:
    u = np.log(n) - centre[0]
    w = np.log(t) - centre[1]
    return np.stack([np.ones_like(u), u, w, u * w, u**2, w**2], 1)


def _posterior(n: Array, t: Array, y: Array) -> tuple[_Posterior, Array]:
    """Return the posterior and the centre of (ln N, ln T); the constant's prior is at mean ln y."""
    centre = np.array([np.log(n).mean(), np.log(t).mean()])
    columns = _design(n, t, centre)
    v = np.log(y)
    mean = PRIOR_MEAN.copy()
    mean[0] = v.mean()
    prior = np.diag(PRIOR_SD**-2.0)
    spread = columns @ np.diag(PRIOR_SD**2) @ columns.T
    off = v - columns @ mean
    logs = []
    means = []
    covariances = []
    for sigma in SIGMAS:
        total = spread + sigma**2 * np.eye(len(v))
        log = -0.5 * (np.linalg.slogdet(total)[1] + off @ np.linalg.solve(total, off))
        logs.append(log - 0.5 * (np.log(sigma / SIGMA[0]) / SIGMA[1]) ** 2)
        covariance = np.linalg.inv(columns.T @ columns / sigma**2 + prior)
        covariances.append(covariance)
        means.append(covariance @ (columns.T @ v / sigma**2 + prior @ mean))
    weights = np.exp(np.array(logs) - max(logs))
    found = _Posterior(
        weights / weights.sum(), np.array(means), np.array(covariances), np.array(SIGMAS)
    )
    return found, centre


def _hold_out(n: Array, t: Array, y: Array) -> HeldOut | None:
    last = int(np.argmax(n * t))
    rest = np.arange(len(y)) != last
    actual = float(y[last])
    x = float(n[last] * t[last])
    if len(np.unique(n[rest])) < 2 or len(np.unique(t[rest])) < 2 or rest.sum() < FEWEST:
        return HeldOut(x, actual, None, None, None)
    found = predict(n[rest], t[rest], y[rest], float(n[last]), float(t[last]))
    reach = max(found.beyond_size, found.beyond_tokens)
    return HeldOut(x, actual, found.value, found.low, found.high, reach)
