"""Judging claims: SUPPORTED, REFUTED or UNDECIDED, with estimate, interval, n and the noise floor.

A claim is supported where its whole interval keeps the bound, refuted where the whole interval
breaks it, undecided in between, and where results are missing or runs are not finished. Intervals
come from a bootstrap (correlations) or from the noise between seeds; where a study has one seed
only, from the records' own intervals, and where there is nothing from the claim's tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from analysis.claims import kinds
from analysis.claims.finding import Finding
from analysis.claims.rows import NotYetError
from analysis.select.source import Source
from dit_core.study.science.claim import Claim

Verdict = Literal["SUPPORTED", "REFUTED", "UNDECIDED"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judged claim. Numbers are None where there are none; `detail` has one line per
    comparison.
    """

    id: str
    kind: str
    text: str
    verdict: Verdict
    estimate: float | None
    low: float | None
    high: float | None
    quantity: str
    bound: str
    n: int
    noise: float | None
    noise_from: str
    conditional: str
    reason: str = ""
    detail: tuple[str, ...] = ()
    setting: str = ""
    """How the rows were sampled where the study has several settings and the claim names none."""

    def plain(self) -> dict[str, Any]:
        """Return the judgement as plain values for JSON."""
        return {**asdict(self), "detail": list(self.detail)}


_JUDGE: dict[str, Callable[[Any, Source], Finding]] = {
    "correlation": kinds.correlation,
    "order": kinds.order,
    "ratio": kinds.ratio,
    "threshold": kinds.threshold,
    "trend": kinds.trend,
    "crossing": kinds.crossing,
}


def judge(claim: Claim, source: Source) -> Judgement:
    """Return the judgement of one claim on a study's results.

    Raises UserError where the claim names a metric, column or run that the study does not have.
    """
    try:
        found = _JUDGE[claim.kind](claim, source)
    except NotYetError as error:
        found = Finding("UNDECIDED", reason=str(error))
    if found.unfinished and found.verdict != "UNDECIDED" and not _is_refuted_for_good(claim, found):
        reason = f"{found.unfinished} of the runs it is about are not finished; `ditlab run {source.name}` goes on"
        found = replace(found, verdict="UNDECIDED", reason=reason)
    if found.verdict != "UNDECIDED" and found.told_by == "nothing" and not claim.tolerance:
        found = replace(found, reason="no noise is known: one seed, no interval, no tolerance")
    if found.told_by == "nothing" and claim.tolerance:
        found = replace(found, told_by=f"the claim's tolerance ({claim.tolerance:g})")
    return Judgement(
        claim.id,
        claim.kind,
        claim.text,
        found.verdict,
        found.estimate,
        found.low,
        found.high,
        found.quantity,
        found.bound,
        found.n,
        found.noise,
        found.told_by,
        claim.conditional,
        found.reason,
        found.detail,
        found.setting,
    )


def _is_refuted_for_good(claim: Claim, found: Finding) -> bool:
    """Return whether one counterexample settles the claim, whatever is still to come."""
    return found.verdict == "REFUTED" and claim.kind in ("order", "threshold")


def judge_all(claims: tuple[Claim, ...], source: Source) -> list[Judgement]:
    """Return the judgements in the order of the claims."""
    return [judge(claim, source) for claim in claims]
