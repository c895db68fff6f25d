"""Prices that are not negative, from measured totals."""

from __future__ import annotations

import numpy as np


def prices(
    rows: list[dict[str, float]], seconds: list[float], names: tuple[str, ...]
) -> dict[str, float]:
    """Return for each name the price >= 0 that best explains `seconds` from rows of amounts.

    Non-negative least squares by coordinate descent on the normal equations, each row divided by
    its seconds, so that a short step counts as much as a long one.
    """
    table = np.array([[row[name] for name in names] for row in rows]) / np.array(seconds)[:, None]
    scale = np.maximum(np.abs(table).max(axis=0), 1e-300)
    table = table / scale
    gram = table.T @ table
    right = table.sum(axis=0)
    found = np.zeros(len(names))
    for _ in range(20000):
        before = found.copy()
        for k in range(len(names)):
            if gram[k, k] > 0:
                found[k] = max(0.0, found[k] + (right[k] - gram[k] @ found) / gram[k, k])
        if np.abs(found - before).max() <= 1e-12 * max(found.max(), 1e-300):
            break
    return dict(zip(names, (found / scale).tolist(), strict=True))


def worst(rows: list[dict[str, float]], seconds: list[float], priced: dict[str, float]) -> float:
    """Return the largest relative error of the prices on the rows they come from."""
    sums = [sum(row[name] * price for name, price in priced.items()) for row in rows]
    return max(abs(total / measured - 1.0) for total, measured in zip(sums, seconds, strict=True))
