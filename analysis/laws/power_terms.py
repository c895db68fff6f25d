"""Fitting sums of power terms, y = E + sum of A_k x_k^-alpha_k, with a Huber loss on log y.

Written as log y = logsumexp(e, a_k - alpha_k log x_k) (Hoffmann et al. 2022, approach 3; a sum, not
a mean, of losses, delta 1e-3: Besiroglu et al. 2024). Every start and every bootstrap resample is
one row of a batch that is solved by iteratively reweighted Levenberg-Marquardt steps in numpy, so
that a thousand resamples cost what a few do elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DELTA = 1e-3
EXPONENTS = (0.005, 6.0)
DEEPEST = 14.0  # e may fall this far below log min(y): there E is nothing


@dataclass(frozen=True, slots=True)
class Problem:
    """`u` (n, K): log x of each power term, centred at `centre` (K,); `v` (n,): log y."""

    u: Array
    v: Array
    centre: Array

    @classmethod
    def of(cls, xs: Array, y: Array) -> Problem:
        """Return the problem of xs (n, K) > 0 and y (n,) > 0."""
        u = np.log(xs)
        centre = u.mean(0)
        return cls(u - centre, np.log(y), centre)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Return lower and upper bounds of theta = (e, a_1, alpha_1, a_2, alpha_2, ...)."""
        k = self.u.shape[1]
        low = float(self.v.min())
        lower = np.array([low - DEEPEST, *[low - 30.0, EXPONENTS[0]] * k])
        upper = np.array([low - 1e-9, *[float(self.v.max()) + 30.0, EXPONENTS[1]] * k])
        return lower, upper

    def starts(self) -> Array:
        """Return (S, 1 + 2K) starting points: offsets by exponents, levels by mean log(y - E)."""
        low = float(self.v.min())
        k = self.u.shape[1]
        grid = []
        exponents = (0.05, 0.15, 0.3, 0.6, 1.2) if k == 1 else (0.1, 0.3, 0.7)
        for drop in (0.05, 0.3, 1.0, 3.0):
            rest = np.log(np.maximum(np.exp(self.v) - np.exp(low - drop), 1e-3 * np.exp(self.v)))
            for combination in np.stack(np.meshgrid(*[exponents] * k), -1).reshape(-1, k):
                theta = [low - drop]
                for alpha in combination:
                    theta += [float(rest.mean()) - np.log(k), float(alpha)]
                grid.append(theta)
        return np.array(grid)


def model(theta: Array, u: Array) -> tuple[Array, Array]:
    """Return log y (B, n) and its Jacobian (B, n, P) at theta (B, P) for u (n, K) or (B, n, K)."""
    u = u if u.ndim == 3 else u[None]
    a = theta[:, 1::2]
    alpha = theta[:, 2::2]
    terms = np.concatenate(
        [
            np.broadcast_to(theta[:, None, :1], (len(theta), u.shape[1], 1)),
            a[:, None, :] - alpha[:, None, :] * u,
        ],
        axis=2,
    )
    top = terms.max(2, keepdims=True)
    share = np.exp(terms - top)
    total = share.sum(2, keepdims=True)
    share /= total
    out = np.empty((*share.shape[:2], theta.shape[1]))
    out[..., 0] = share[..., 0]
    out[..., 1::2] = share[..., 1:]
    out[..., 2::2] = -share[..., 1:] * u
    return (top + np.log(total))[..., 0], out


def huber(residual: Array, weight: Array, delta: float) -> Array:
    """Return the weighted sum over the last axis of Huber's loss."""
    size = np.abs(residual)
    loss = np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))
    return np.asarray((weight * loss).sum(-1))


def solve(
    problem: Problem,
    theta: Array,
    weight: Array,
    delta: float = DELTA,
    steps: int = 300,
    fixed: int | None = None,
) -> tuple[Array, Array, Array]:
    """Return (theta (B, P), loss (B,), moved (B,)) from starts (B, P) with weights (B, n).

    The parameter `fixed` stays at its start.

    `moved` is the largest relative change of a parameter in the last ten steps: small where the
    search has settled.
    """
    lower, upper = problem.bounds
    if fixed is not None:
        lower[fixed] = -np.inf
        upper[fixed] = np.inf
    theta = np.clip(theta, lower, upper)
    damp = np.full(len(theta), 1e-2)
    fitted, jac = model(theta, problem.u)
    residual = fitted - problem.v
    loss = huber(residual, weight, delta)
    before = theta
    for step in range(steps):
        if step % 10 == 0:
            if step and np.abs(theta - before).max() < 1e-9:
                break
            before = theta.copy()
        w = weight * np.minimum(1.0, delta / np.maximum(np.abs(residual), 1e-12))
        normal = np.einsum("bnp,bn,bnq->bpq", jac, w, jac)
        slope = np.einsum("bnp,bn,bn->bp", jac, w, residual)
        # A parameter at its bound that the loss pushes outwards is held there.
        held = ((theta <= lower) & (slope > 0)) | ((theta >= upper) & (slope < 0))
        if fixed is not None:
            held[:, fixed] = True
        normal = np.where(held[:, :, None] | held[:, None, :], 0.0, normal)
        diagonal = np.einsum("bpp->bp", normal)
        ridge = damp[:, None] * np.maximum(
            diagonal, 1e-10 * np.maximum(diagonal.max(1, keepdims=True), 1e-12)
        )
        normal = normal + np.einsum(
            "bp,pq->bpq", np.where(held, 1.0, ridge), np.eye(theta.shape[1])
        )
        move = -np.linalg.solve(normal, np.where(held, 0.0, slope)[..., None])[..., 0]
        trial = np.clip(theta + np.clip(move, -2.0, 2.0), lower, upper)
        new_fitted, new_jac = model(trial, problem.u)
        new_loss = huber(new_fitted - problem.v, weight, delta)
        better = new_loss < loss
        damp = np.clip(np.where(better, damp * 0.3, damp * 4.0), 1e-12, 1e8)
        theta = np.where(better[:, None], trial, theta)
        residual = np.where(better[:, None], new_fitted - problem.v, residual)
        jac = np.where(better[:, None, None], new_jac, jac)
        loss = np.where(better, new_loss, loss)
    return theta, loss, np.abs(theta - before).max(1)


def best(problem: Problem, delta: float = DELTA) -> tuple[Array, float, float]:
    """Return (theta (P,), loss, moved) of the best of many starts."""
    starts = problem.starts()
    weight = np.ones((len(starts), len(problem.v)))
    theta, loss, _ = solve(problem, starts, weight, delta, 150)
    keep = np.argsort(loss, kind="stable")[:5]
    theta, loss, moved = solve(problem, theta[keep], weight[keep], delta, 600)
    first = int(np.argmin(loss))
    return theta[first], float(loss[first]), float(moved[first])
