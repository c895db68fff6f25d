"""What a study asks of protocols and claims, held against what can be measured before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dit_core.errors import nearest
from dit_core.evaluate.protocols import PROTOCOLS, problems, protocol_of
from dit_core.study.claim import COLUMNS, OF_RUNS, Claim
from dit_core.study.facts import network_facts
from dit_core.study.problems import Place, Problems
from dit_core.study.run import Run
from dit_core.study.sampling import Evaluation, Sampling
from dit_core.study.science import Data
from dit_core.study.study_model import Study


def check_study(study: Study, runs: Sequence[Run], few: bool = False) -> None:
    """Raise StudyError naming every evaluation that its protocol does not allow, and every claim about nothing.

    `few` allows fewer samples than a protocol, as in `protocols.problems`.
    """
    found = Problems()
    _check_evaluations(study, runs, few, found)
    _check_claims(study, runs, found)
    found.raise_any()


def unmeasured(study: Study, runs: Iterable[Run]) -> list[str]:
    """Return a line for every claim whose metric no evaluation of the study gives: it would stay undecided."""
    protocols = {planned.evaluation.protocol for run in runs for planned in run.evaluations}
    given = {*OF_RUNS, *(metric for name in protocols for metric in protocol_of(name).metrics)}
    return [
        f"claim {claim.id}: no evaluation of this study measures {claim.metric}; protocols that do: "
        f"{', '.join(name for name, protocol in PROTOCOLS.items() if claim.metric in protocol.metrics)}"
        for claim in study.claims
        if claim.metric not in given
    ]


def _check_evaluations(study: Study, runs: Iterable[Run], few: bool, found: Problems) -> None:
    """Note what protocols do not allow; what all runs share is looked at once."""
    seen: set[tuple[Data, str, int, Sampling]] = set()
    first: dict[str, tuple[Place, str]] = {}
    for run in runs:
        for planned in run.evaluations:
            evaluation, data = planned.evaluation, run.science.data
            key = (data, evaluation.protocol, evaluation.samples, evaluation.sampling)
            if key in seen:
                continue
            seen.add(key)
            for line in problems(protocol_of(evaluation.protocol), data, evaluation, few):
                if line not in first:
                    first[line] = _place(study, evaluation, line), run.name
    for line, (place, name) in first.items():
        found.add(place, "evaluate", f"{line} (run {name or 'base'})")


def _place(study: Study, evaluation: Evaluation, line: str) -> Place:
    """Return where the setting that a problem begins with is written, in the block that asks for this evaluation."""
    key = line.split()[0]
    value = (evaluation.sampling.model_dump() | {"samples": evaluation.samples}).get(key)
    default = (Evaluation.model_fields["protocol"].default,)
    blocks = [i for i, b in enumerate(study.evaluate) if evaluation.protocol in b.values.get("protocol", default)]
    blocks.sort(key=lambda i: value not in study.evaluate[i].values.get(key, ()))  # first those that give the setting
    return study.place(f"evaluate[{blocks[0]}].{key}", f"evaluate[{blocks[0]}]")


def _check_claims(study: Study, runs: Sequence[Run], found: Problems) -> None:
    """Note metrics that no protocol has, and values of runs' columns that no run of the study has."""
    metrics = [*OF_RUNS, *dict.fromkeys(metric for protocol in PROTOCOLS.values() for metric in protocol.metrics)]
    columns = _columns(runs) if study.claims else {}
    for i, claim in enumerate(study.claims):
        path = f"claims[{i}]"
        if claim.metric not in metrics:
            text = f"unknown metric {claim.metric!r}{nearest(claim.metric, metrics)}; metrics are {', '.join(metrics)}"
            found.add(study.place(f"{path}.metric", path), f"{path}.metric", text)
        for key, column, value in _asked(claim):
            if column in columns and value not in columns[column]:
                have = ", ".join(map(str, sorted(columns[column], key=str)[:10]))
                text = (
                    f"no run of this study has {column} {value}{nearest(str(value), columns[column])}; they have {have}"
                )
                found.add(study.place(f"{path}.{key}", path), f"{path}.{key}", text)


def _columns(runs: Iterable[Run]) -> dict[str, set[Any]]:
    """Return the columns that a claim may name and a plan knows, and the values they take in these runs."""
    columns: dict[str, set[Any]] = {}
    fields = [(column, *column.split("_", 1)) for column in COLUMNS if column.startswith(("model_", "data_"))]
    for run in runs:
        science = run.science
        facts = {column: getattr(getattr(science, half), field, None) for column, half, field in fields}
        facts |= network_facts(science) | {"objective": science.objective.name, "seed": science.train.seed}
        for column, value in facts.items():
            columns.setdefault(column, set()).add(value)
    return columns


def _asked(claim: Claim) -> Iterator[tuple[str, str, Any]]:
    """Yield (key of the claim, column, value) of every value that a claim selects rows by, or puts in order."""
    for key in ("where", "numerator", "denominator", "first", "second"):
        for column, value in (getattr(claim, key, None) or {}).items():
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None:
                    yield key, column, one
    for rank in getattr(claim, "ranks", ()):
        for one in rank:
            yield "order", claim.by, one
