"""Two correlations with one variable, told apart by Williams' test.

Williams (1959, J. R. Stat. Soc. B 21:396); Steiger (1980, Psychol. Bull. 87:245) recommends it for
dependent correlations: the two columns are measured on the same models and correlate themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.noise.decide import Part

FEWEST = 5  # models: fewer leave one degree of freedom


@dataclass(frozen=True, slots=True)
class Gap:
    """|r(x, y)| minus |r(other, y)| with Williams' t; t is None where `status` says why."""

    value: float | None
    t: float | None
    df: int
    status: str = "ok"

    @property
    def p(self) -> float | None:
        """Return the one-sided probability of so large a gap where the correlations are equal."""
        return None if self.t is None else float(special.stdtr(self.df, -self.t))

    @property
    def words(self) -> str:
        """Return "0.43 (Williams' t(8) = 3.81, one-sided p = 0.0026)", or why there is none."""
        if self.value is None or self.t is None:
            return f"none: {self.status}"
        return (
            f"{self.value:.3g} (Williams' t({self.df}) = {self.t:.2f}, one-sided p = {self.p:.2g})"
        )

    def part(self, level: float, comparisons: int) -> Part:
        """Return "holds" where the gap is shown to be positive, "fails" where negative."""
        if self.t is None:
            return "open"
        if self.t > special.stdtrit(self.df, (1 + level) / 2):
            return "holds"
        tail = (1 - level) / 2 / comparisons
        return "fails" if self.t < special.stdtrit(self.df, tail) else "open"


def williams(x: NDArray[np.float64], other: NDArray[np.float64], y: NDArray[np.float64]) -> Gap:
    """Return the gap between the correlations of `x` and of `other` with `y`, all (n,).

    Both columns are turned so that they correlate positively with y: the gap is one of strengths.
    """
    n = len(y)
    df = n - 3
    columns = np.stack([x, other, y])
    if not np.isfinite(columns).all():
        return Gap(None, None, df, "not finite")
    if n < FEWEST:
        return Gap(None, None, df, f"too few models ({n} < {FEWEST})")
    if (np.ptp(columns, axis=1) <= 1e-12 * np.abs(columns).max(axis=1)).any():
        return Gap(None, None, df, "zero variance")
    r = np.asarray(np.corrcoef(columns))
    first = abs(float(r[0, 2]))
    second = abs(float(r[1, 2]))
    between = float(r[0, 1] * np.sign(r[0, 2]) * np.sign(r[1, 2]))
    t = float(williams_t(np.array(first), np.array(second), np.array(between), n))
    if not np.isfinite(t):
        return Gap(first - second, None, df, "the two columns say the same")
    return Gap(first - second, t, df)


def williams_t(
    first: NDArray[np.float64], second: NDArray[np.float64], between: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return Williams' t for arrays of correlations; not finite where the columns are one."""
    determinant = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    mean = (first + second) / 2
    spread = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - between) ** 3
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (first - second) * np.sqrt((n - 1) * (1 + between) / spread)
    return np.where(1 - between > 1e-9, t, np.nan)
