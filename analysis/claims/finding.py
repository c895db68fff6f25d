"""What judging a claim found, and how an interval is compared with bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from analysis.claims.rows import Rows
from analysis.select.noise import UNKNOWN
from dit_core.study.science.claim import Bounded

Verdict = Literal["SUPPORTED", "REFUTED", "UNDECIDED"]
Part = Literal["holds", "fails", "open"]
"""The outcome of one of the comparisons that a claim consists of."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What judging found; numbers are None where there are none."""

    verdict: Verdict
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    quantity: str = ""
    """What the estimate is."""
    bound: str = ""
    """What it was compared with."""
    n: int = 0
    """Number of rows or comparisons that the verdict rests on."""
    noise: float | None = None
    """One standard deviation of a value."""
    source: str = UNKNOWN
    """What the interval comes from."""
    reason: str = ""
    detail: tuple[str, ...] = ()
    """One line per comparison."""
    setting: str = ""
    """How the rows were sampled where the study has several settings and the claim names none."""
    unfinished: int = 0
    """Runs that the claim is about and that are not finished."""

    def about(self, *rows: Rows) -> Finding:
        """Return the finding with the setting chosen for its rows and the runs still to come."""
        settings = dict.fromkeys(part.setting for part in rows if part.setting)
        unfinished = max(part.unfinished for part in rows)
        return replace(self, setting="; ".join(settings), unfinished=unfinished)


def verdict_of(parts: list[Part]) -> Verdict:
    """Return the verdict over all comparisons of a claim: one that fails refutes it.

    One that is open leaves it undecided, as does having no comparison at all.
    """
    if "fails" in parts:
        return "REFUTED"
    return "SUPPORTED" if parts and "open" not in parts else "UNDECIDED"


def against(claim: Bounded, low: float, high: float) -> Part:
    """Compare an interval with the claim's bounds."""
    at_most = float("inf") if claim.at_most is None else claim.at_most
    at_least = float("-inf") if claim.at_least is None else claim.at_least
    if low > at_most or high < at_least:
        return "fails"
    return "holds" if at_least <= low and high <= at_most else "open"


def beyond(value: float, half: float) -> Part:
    """Return "holds" where a value is positive beyond its half width, "fails" where negative so."""
    if value > half:
        return "holds"
    return "fails" if value < -half else "open"


def bounds_of(claim: Bounded) -> str:
    """Return a claim's bounds as text: "≥ 0.8 and ≤ 1.25"."""
    lower = "" if claim.at_least is None else f"≥ {claim.at_least:g}"
    upper = "" if claim.at_most is None else f"≤ {claim.at_most:g}"
    return " and ".join(filter(None, (lower, upper)))


def span_of(value: float | None, low: float | None, high: float | None) -> str:
    """Return "1.2 (0.8 to 1.6)", or as much of it as is known."""
    if value is None:
        return "none"
    if low is None or high is None:
        return f"{value:.3g}"
    return f"{value:.3g} ({low:.3g} to {high:.3g})"
