"""What a study asks of protocols and claims, held against what can be measured before anything is
spent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from dit_core.errors import nearest
from dit_core.evaluate.protocol.protocols import PROTOCOLS, problems, protocol_of
from dit_core.study.grid.resolve import agrees
from dit_core.study.language.study_model import Study
from dit_core.study.price.facts import network_facts
from dit_core.study.problems import Place, Problems, show
from dit_core.study.science.claim import COLUMNS, OF_RUNS
from dit_core.study.science.run import Run
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data

_SETTINGS = ("protocol", "samples", "sampler", "steps", "guidance", "images_seen")


def check_study(study: Study, runs: Sequence[Run], few: bool = False) -> None:
    """Raise StudyError naming every evaluation that its protocol does not allow, and every claim
    about nothing.

    `few` allows fewer samples than a protocol, as in `protocols.problems`.
    """
    found = Problems()
    _check_evaluations(study, runs, few, found)
    _check_claims(study, runs, found)
    found.raise_any()


def unmeasured(study: Study, runs: Iterable[Run]) -> list[str]:
    """Return a line for every claim about a metric or setting that no evaluation of the study has.

    It stays undecided until `ditlab evaluate` measures what it is about.
    """
    evaluations = (
        list({planned.evaluation for run in runs for planned in run.evaluations})
        if study.claims
        else []
    )
    given = {*OF_RUNS, *(metric for e in evaluations for metric in protocol_of(e.protocol).metrics)}
    settings = {column: {_setting(e, column) for e in evaluations} for column in _SETTINGS}
    lines = []
    for claim in study.claims:
        if claim.metric not in given:
            names = ", ".join(
                name for name, protocol in PROTOCOLS.items() if claim.metric in protocol.metrics
            )
            lines.append(
                f"claim {claim.id}: no evaluation of this study measures {claim.metric}; "
                f"protocols: {names}"
            )
        for _, column, value in claim.selected() if claim.metric not in OF_RUNS else ():
            if column in settings and value not in settings[column]:
                lines.append(
                    f"claim {claim.id}: no evaluation of this study has {column} {show(value)}"
                )
    return lines


def _setting(evaluation: Evaluation, column: str) -> Any:
    return getattr(evaluation if column in Evaluation.model_fields else evaluation.sampling, column)


def _check_evaluations(study: Study, runs: Iterable[Run], few: bool, found: Problems) -> None:
    """Note what protocols do not allow; what all runs share is looked at once."""
    seen: set[tuple[Data, str, int, Sampling]] = set()
    first: dict[
        str, tuple[Place, str]
    ] = {}  # the problem: where it is written, the first run that has it
    for run in runs:
        for planned in run.evaluations:
            evaluation = planned.evaluation
            data = run.science.data
            key = (data, evaluation.protocol, evaluation.samples, evaluation.sampling)
            if key in seen:
                continue
            seen.add(key)
            for line in problems(protocol_of(evaluation.protocol), data, evaluation, few):
                if line not in first:
                    first[line] = _place(study, run, evaluation, line), run.name
    for line, (place, name) in first.items():
        found.add(place, "evaluate", f"{line} (run {name or 'base'})")


def _place(study: Study, run: Run, evaluation: Evaluation, line: str) -> Place:
    """Return where the setting that a problem begins with is written, in the block that asks this
    run for it.
    """
    named = re.match(r"(\w+) is ", line)
    key = named[1] if named else "protocol"
    value = (evaluation.sampling.model_dump() | {"samples": evaluation.samples}).get(key)
    default = (Evaluation.model_fields["protocol"].default,)
    point = {half: getattr(run.science, half).__dict__ for half in type(run.science).model_fields}
    blocks = [
        i
        for i, block in enumerate(study.evaluate)
        if evaluation.protocol in block.values.get("protocol", default)
        and all(agrees(path, wanted, point) for path, wanted in block.where.items())
    ]
    blocks.sort(
        key=lambda i: value not in study.evaluate[i].values.get(key, ())
    )  # first those that give the setting
    return study.place(f"evaluate[{blocks[0]}].{key}", f"evaluate[{blocks[0]}]")


def _check_claims(study: Study, runs: Sequence[Run], found: Problems) -> None:
    """Note metrics that no protocol has, and values of runs' columns that no run of the study
    has.
    """
    metrics = [
        *OF_RUNS,
        *dict.fromkeys(metric for protocol in PROTOCOLS.values() for metric in protocol.metrics),
    ]
    columns = _columns(runs) if study.claims else {}
    for i, claim in enumerate(study.claims):
        path = f"claims[{i}]"
        if claim.metric not in metrics:
            text = f"unknown metric {claim.metric!r}{nearest(claim.metric, metrics)}; metrics are {', '.join(metrics)}"
            found.add(study.place(f"{path}.metric", path), f"{path}.metric", text)
        for key, column, value in claim.selected():
            if column in columns and not _among(value, columns[column]):
                have = ", ".join(map(show, sorted(columns[column], key=str)[:10]))
                text = f"no run of this study has {column} {show(value)}; they have {have}"
                found.add(study.place(f"{path}.{key}", path), f"{path}.{key}", text)


def _among(value: Any, have: set[Any]) -> bool:
    """Return whether a value is among those, true and 1 told apart."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in have)


def _columns(runs: Iterable[Run]) -> dict[str, set[Any]]:
    """Return the columns that a claim may name and a plan knows, and the values they take in these
    runs.
    """
    columns: dict[str, set[Any]] = {}
    fields = [
        (column, *column.split("_", 1))
        for column in COLUMNS
        if column.startswith(("model_", "data_"))
    ]
    for run in runs:
        science = run.science
        facts = {
            column: getattr(getattr(science, half), field, None) for column, half, field in fields
        }
        facts |= network_facts(science) | {
            "objective": science.objective.name,
            "seed": science.train.seed,
        }
        for column, value in facts.items():
            columns.setdefault(column, set()).add(value)
    return columns
