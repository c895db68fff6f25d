"""Judging claims: SUPPORTED, REFUTED or UNDECIDED, with estimate, interval, n and noise.

A claim is supported where its whole interval keeps the bound, refuted where the whole interval
breaks it, undecided in between, and where results are missing or runs are not finished. Intervals
come from a bootstrap (correlations) or from the noise between seeds; where a study has one seed
only, from the records' own intervals, and where there is nothing from the claim's tolerance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from analysis.claims.finding import Finding, Verdict
from analysis.claims.rows import NotYetError
from analysis.select.noise import UNKNOWN
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import Claim


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judged claim. Numbers are None where there are none."""

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
    """One line per comparison."""
    setting: str = ""
    """How the rows were sampled where the study has several settings and the claim names none."""

    def plain(self) -> dict[str, Any]:
        """Return the judgement as plain values for JSON."""
        return {**asdict(self), "detail": list(self.detail)}


def judge(claim: Claim, source: Source) -> Judgement:
    """Return the judgement of one claim on a study's results.

    Raises UserError where the claim names a metric, column or run that the study does not have.
    """
    judge_kind = import_module(f"analysis.claims.kinds.{claim.kind}").judge
    try:
        found: Finding = judge_kind(claim, source)
    except NotYetError as error:
        found = Finding("UNDECIDED", reason=str(error))
    found = _while_unfinished(claim, found, source)
    return judgement_of(claim, _with_tolerance(claim, found))


def judgement_of(claim: Claim, found: Finding) -> Judgement:
    """Return what was found together with what was claimed."""
    return Judgement(
        id=claim.id,
        kind=claim.kind,
        text=claim.text,
        verdict=found.verdict,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        quantity=found.quantity,
        bound=found.bound,
        n=found.n,
        noise=found.noise,
        noise_from=found.source,
        conditional=claim.conditional,
        reason=found.reason,
        detail=found.detail,
        setting=found.setting,
    )


def _while_unfinished(claim: Claim, found: Finding, source: Source) -> Finding:
    """Return the finding, undecided where runs to come could still change the verdict."""
    if not found.unfinished or found.verdict == "UNDECIDED":
        return found
    if found.verdict == "REFUTED" and claim.one_case_refutes:
        return found
    reason = (
        f"{found.unfinished} of the runs it is about are not finished; "
        f"`ditlab run {source.name}` resumes them"
    )
    return replace(found, verdict="UNDECIDED", reason=reason)


def _with_tolerance(claim: Claim, found: Finding) -> Finding:
    """Return the finding, naming the tolerance where nothing else makes the interval."""
    if found.source != UNKNOWN:
        return found
    if claim.tolerance:
        return replace(found, source=f"the claim's tolerance ({claim.tolerance:g})")
    if found.verdict == "UNDECIDED":
        return found
    return replace(found, reason="the noise is unknown: one seed, no interval, no tolerance")
