"""The comparisons that a claim consists of, and the verdict over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.noise.decide import Comparison, Part, Verdict, verdict_of
from dit_core.study.science.claim import Statement


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison of a claim, with what a reader is told of it."""

    name: str
    comparison: Comparison | None
    """None where results are missing."""
    excess: float = math.inf
    """How far the estimate keeps its bound (negative: breaks it), in units of what is judged."""
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict over all cases, how each came out, and what decided."""

    verdict: Verdict
    parts: tuple[Part, ...]
    by_tolerance: int
    """Comparisons that the tolerance, not the noise, left open."""
    missing: int

    def reason(self, claim: Statement) -> str:
        """Return why a claim is left open, where it is not the noise."""
        said = []
        if self.missing:
            said.append(f"{self.missing} of {len(self.parts)} comparisons lack results")
        if self.by_tolerance:
            noun = "difference is" if self.by_tolerance == 1 else "differences are"
            said.append(
                f"{self.by_tolerance} {noun} within the tolerance of {claim.tolerance:g}, which "
                "counts as none: the tolerance decided, not the noise"
            )
        return "; ".join(said)


def decide(claim: Statement, cases: Sequence[Case], margin: bool = True) -> Decided:
    """Return the verdict over all cases, the claim keeping its level as a whole.

    A difference within the claim's tolerance counts as none, however small the noise; where
    `margin` is off, the tolerance is part of the bounds already.
    """
    parts = [_part(case, claim.level, len(cases)) for case in cases]
    left = 0
    for i, case in enumerate(cases):
        if margin and parts[i] != "open" and abs(case.excess) <= claim.tolerance > 0:
            parts[i] = "open"
            left += 1
    missing = sum(case.comparison is None for case in cases)
    return Decided(verdict_of(parts), tuple(parts), left, missing)


def _part(case: Case, level: float, comparisons: int) -> Part:
    return "open" if case.comparison is None else case.comparison.part(level, comparisons)


def worst(cases: Sequence[Case]) -> Case:
    """Return the case that keeps its bound by least, in standard errors."""
    return min((case for case in cases if case.comparison is not None), key=_keeping)


def _keeping(case: Case) -> float:
    assert case.comparison is not None
    found = case.comparison
    room = []
    if found.above is not None:
        room.append(found.contrast.gap - found.above)
    if found.below is not None:
        room.append(found.below - found.contrast.gap)
    return min(room) / found.contrast.error if found.contrast.error else min(room)
