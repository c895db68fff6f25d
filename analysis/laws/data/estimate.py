"""A fitted number with its interval, and the largest model predicted from all others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def words(self, digits: int = 3) -> str:
        """Return "0.365 (0.28 to 0.48)", "0.365 (no interval)" or "none"."""
        if self.value is None:
            return "none"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}g} (no interval)"
        return f"{self.value:.{digits}g} ({self.low:.{digits}g} to {self.high:.{digits}g})"

    def apart_from(self, other: Estimate) -> bool:
        """Return whether two estimates differ beyond their intervals.

        Where one has no interval, its value is held against the other's interval.
        """
        if self.value is None or other.value is None:
            return False
        known = [e for e in (self, other) if e.low is not None and e.high is not None]
        if not known:
            return False
        lows = [e.value if e.low is None else e.low for e in (self, other)]
        highs = [e.value if e.high is None else e.high for e in (self, other)]
        return bool(max(v for v in lows if v is not None) > min(v for v in highs if v is not None))


NO_ESTIMATE = Estimate()


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The largest model predicted from all others: the honest error of a law.

    `beyond`: how many times the largest x of the others its x is; the factor of the extrapolation.
    """

    x: float
    actual: float
    predicted: float | None
    low: float | None
    high: float | None
    beyond: float | None = None
    status: str = "ok"

    @property
    def inside(self) -> bool | None:
        """Return whether the actual value lies in the prediction interval."""
        return (
            None if self.low is None or self.high is None else self.low <= self.actual <= self.high
        )

    @property
    def error(self) -> float | None:
        """Return the relative error of the prediction."""
        return None if self.predicted is None else self.predicted / self.actual - 1
