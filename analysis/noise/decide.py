"""From comparisons with their noise to a verdict that keeps its level as a whole.

A claim over several comparisons holds only if all of them hold. So it is SUPPORTED when each is
shown at the level by itself (an intersection-union test needs no correction: a false claim has one
false comparison, and that one is shown by chance in 2.5 % at most), and REFUTED when one fails at
the level divided by the number of comparisons (Bonferroni: a true claim has many chances to fail).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.noise.model import Contrast

Verdict = Literal["SUPPORTED", "REFUTED", "UNDECIDED"]
Part = Literal["holds", "fails", "open"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a claim: the contrast must lie above `above` and below `below`."""

    contrast: Contrast
    above: float | None = None
    below: float | None = None

    def shown(self, level: float) -> bool:
        """Return whether the interval at `level` lies within the bounds."""
        half = self.contrast.half(level)
        low = self.contrast.gap - half
        high = self.contrast.gap + half
        if self.above is not None and low <= self.above:
            return False
        return self.below is None or high < self.below

    def broken(self, level: float, comparisons: int) -> bool:
        """Return whether the interval, simultaneous over all comparisons, lies beyond a bound."""
        half = self.contrast.half(level, comparisons)
        if self.above is not None and self.contrast.gap + half < self.above:
            return True
        return self.below is not None and self.contrast.gap - half > self.below

    def part(self, level: float, comparisons: int) -> Part:
        """Return how the comparison came out."""
        if self.broken(level, comparisons):
            return "fails"
        return "holds" if self.shown(level) else "open"


def verdict_of(parts: Sequence[Part], missing: int = 0) -> Verdict:
    """Return the verdict over all comparisons; `missing` ones leave an unbroken claim open."""
    if "fails" in parts:
        return "REFUTED"
    if missing or not parts or "open" in parts:
        return "UNDECIDED"
    return "SUPPORTED"


def parts_of(comparisons: Sequence[Comparison], level: float = 0.95) -> list[Part]:
    """Return how each comparison of one claim came out, the claim keeping its level as a whole."""
    return [one.part(level, len(comparisons)) for one in comparisons]
