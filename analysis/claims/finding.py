"""What judging a claim found, and how an interval is compared with bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.claims.rows import Rows
from analysis.claims.values import Values
from analysis.noise.decide import Part, Verdict
from dit_core.study.science.claim import Bounded

UNKNOWN = "nothing"
"""Source of the noise of a claim that was not judged."""


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
    """Number of trainings that the verdict rests on; of models, for a correlation."""
    comparisons: int = 1
    """Number of comparisons over which the claim keeps its level as a whole."""
    noise: float | None = None
    """Standard deviation between trainings that differ in their seed alone."""
    noise_is_share: bool = False
    """The noise is a share of the value, else in the metric's unit."""
    source: str = UNKNOWN
    """What the noise, or the interval, comes from."""
    prior: bool = False
    """Nothing of the study is repeated: the noise is that of a prior alone."""
    decided_by: str = "noise"
    """"noise", "tolerance", "count" or "bootstrap"."""
    reason: str = ""
    detail: tuple[str, ...] = ()
    """One line per comparison."""
    setting: str = ""
    """How the rows were sampled where the study has several settings and the claim names none."""
    unfinished: int = 0
    """Runs that the claim is about and that are not finished."""
    so_far: bool = False
    """The claim is refuted before all planned runs are in."""

    def with_noise(self, values: Values) -> Finding:
        """Return the finding with the noise of its values and where that comes from."""
        return replace(
            self,
            noise=values.noise,
            noise_is_share=values.is_share,
            source=values.source,
            prior=not values.counted and not values.model.repeats,
            decided_by="count" if values.counted else self.decided_by,
        )

    def about(self, *rows: Rows) -> Finding:
        """Return the finding with the setting chosen for its rows and the runs still to come."""
        settings = dict.fromkeys(part.setting for part in rows if part.setting)
        unfinished = max(part.unfinished for part in rows)
        return replace(self, setting="; ".join(settings), unfinished=unfinished)


def against(claim: Bounded, low: float, high: float) -> Part:
    """Compare an interval with the claim's bounds."""
    at_most = float("inf") if claim.at_most is None else claim.at_most
    at_least = float("-inf") if claim.at_least is None else claim.at_least
    if low > at_most or high < at_least:
        return "fails"
    return "holds" if at_least <= low and high <= at_most else "open"


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
