"""Judging claims: SUPPORTED, REFUTED or UNDECIDED, with estimate, interval, n and noise.

A claim is supported where the whole interval of each of its comparisons keeps the bound, refuted
where one, at a level divided by the number of comparisons, breaks it, undecided in between, and
where results are missing or runs are not finished. Intervals come from the noise model
(`analysis/noise/model.py`), those of correlations from a bootstrap over models and seeds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from analysis.claims.finding import Finding
from analysis.claims.rows import NotYetError
from analysis.noise.decide import Verdict
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
    comparisons: int
    """Number of comparisons over which the claim keeps its level as a whole."""
    noise: float | None
    """Standard deviation between trainings, a share of the value where `noise_is_share`."""
    noise_is_share: bool
    noise_source: str
    prior: bool
    """Nothing of the study is repeated: the noise is that of a prior alone."""
    decided_by: str
    """"noise", "tolerance", "count" or "bootstrap"."""
    so_far: bool
    """Refuted before all planned runs are in."""
    conditional: str
    reason: str = ""
    detail: tuple[str, ...] = ()
    """One line per comparison."""
    setting: str = ""
    """How the rows were sampled where the study has several settings and the claim names none."""

    @property
    def words(self) -> str:
        """Return the verdict as a reader is told: "REFUTED so far"."""
        return f"{self.verdict} so far" if self.so_far else self.verdict

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
    return judgement_of(claim, _while_unfinished(claim, found, source))


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
        comparisons=found.comparisons,
        noise=found.noise,
        noise_is_share=found.noise_is_share,
        noise_source=found.source,
        prior=found.prior,
        decided_by=found.decided_by,
        so_far=found.so_far,
        conditional=claim.conditional,
        reason=found.reason,
        detail=found.detail,
        setting=found.setting,
    )


def _while_unfinished(claim: Claim, found: Finding, source: Source) -> Finding:
    """Return the finding, undecided where runs to come could still change the verdict."""
    if not found.unfinished or found.verdict == "UNDECIDED":
        return found
    reason = (
        f"{found.unfinished} of the runs it is about are not finished; "
        f"`ditlab run {source.name}` resumes them"
    )
    if found.verdict == "REFUTED" and claim.one_case_refutes:
        return replace(found, so_far=True, reason=reason)
    return replace(found, verdict="UNDECIDED", reason=reason)
