"""What judging a claim found, and how an interval is held against bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from analysis.claims.rows import Rows


@dataclass(frozen=True, slots=True)
class Finding:
    """What judging found; see `claims.Judgement`."""

    verdict: Literal["SUPPORTED", "REFUTED", "UNDECIDED"]
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    quantity: str = ""
    bound: str = ""
    n: int = 0
    noise: float | None = None
    told_by: str = "nothing"
    reason: str = ""
    detail: tuple[str, ...] = ()
    setting: str = ""
    unfinished: int = 0


def about_rows(*parts: Rows) -> dict[str, Any]:
    """Return what a finding says of its rows: the setting chosen among several, and the runs still
    to come.
    """
    settings = dict.fromkeys(part.setting for part in parts if part.setting)
    return {"setting": "; ".join(settings), "unfinished": max(part.unfinished for part in parts)}


Part = Literal["holds", "fails", "open"]


def verdict_of(parts: list[Part]) -> Literal["SUPPORTED", "REFUTED", "UNDECIDED"]:
    """Return the verdict over all comparisons of a claim: one that fails refutes it, one that is
    open leaves it so.
    """
    if "fails" in parts:
        return "REFUTED"
    return "SUPPORTED" if parts and "open" not in parts else "UNDECIDED"


def against(claim: Any, low: float, high: float) -> Part:
    """Hold an interval against the claim's bounds."""
    at_most = claim.at_most
    at_least = claim.at_least
    if (at_most is not None and low > at_most) or (at_least is not None and high < at_least):
        return "fails"
    inside = (at_most is None or high <= at_most) and (at_least is None or low >= at_least)
    return "holds" if inside else "open"


def bounds_of(claim: Any) -> str:
    """Return a claim's bounds in words: "≥ 0.8 and ≤ 1.25"."""
    parts = [f"≥ {claim.at_least:g}"] if claim.at_least is not None else []
    return " and ".join(parts + ([f"≤ {claim.at_most:g}"] if claim.at_most is not None else []))


def span_of(value: float | None, low: float | None, high: float | None) -> str:
    """Return "1.2 (0.8 to 1.6)", or what there is of it."""
    if value is None:
        return "none"
    return (
        f"{value:.3g}" if low is None or high is None else f"{value:.3g} ({low:.3g} to {high:.3g})"
    )
