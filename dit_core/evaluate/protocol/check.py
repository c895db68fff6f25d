"""Whether a study's evaluations and claims can be measured, checked before anything is spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dit_core.errors import nearest
from dit_core.evaluate.protocol.fit import Misfit, misfits
from dit_core.study.catalogue.protocols import PROTOCOLS, protocol_of
from dit_core.study.grid.resolve import agrees
from dit_core.study.language.study_model import Study
from dit_core.study.price.facts import network_facts
from dit_core.study.problems import Place, Problems, show
from dit_core.study.science.claim import COLUMNS, OF_RUNS
from dit_core.study.science.run import Run
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data

_SETTINGS = ("protocol", "samples", "sampler", "steps", "guidance", "images_seen")
_SHOWN = 10


def check_study(study: Study, runs: Sequence[Run], few: bool = False) -> None:
    """Raise StudyError naming each evaluation and each claim that cannot be measured.

    `few` allows fewer samples than a protocol, as in `fit.misfits`.
    """
    found = Problems()
    _check_evaluations(study, runs, few, found)
    _check_claims(study, runs, found)
    found.raise_any()


def unmeasured(study: Study, runs: Iterable[Run]) -> list[str]:
    """Return a line for every claim about a metric or setting that no evaluation of the study has.

    It stays undecided until `ditlab evaluate` measures what it is about.
    """
    if not study.claims:
        return []
    evaluations = list({planned.evaluation for run in runs for planned in run.evaluations})
    measured = {metric for e in evaluations for metric in protocol_of(e.protocol).metrics}
    settings = {column: {_setting(e, column) for e in evaluations} for column in _SETTINGS}
    lines = []
    for claim in study.claims:
        if claim.metric in OF_RUNS:
            continue
        if claim.metric not in measured:
            rows = PROTOCOLS.values()
            names = ", ".join(row.name for row in rows if claim.metric in row.metrics)
            lines.append(
                f"claim {claim.id}: no evaluation of this study measures {claim.metric}; "
                f"protocols: {names}"
            )
        lines += [
            f"claim {claim.id}: no evaluation of this study has {column} {show(value)}"
            for _, column, value in claim.selected()
            if column in settings and value not in settings[column]
        ]
    return lines


def _setting(evaluation: Evaluation, column: str) -> Any:
    return getattr(evaluation if column in Evaluation.model_fields else evaluation.sampling, column)


def _check_evaluations(study: Study, runs: Iterable[Run], few: bool, found: Problems) -> None:
    """Note what protocols do not allow; what several runs share is looked at once."""
    seen: set[tuple[Data, str, int, Sampling]] = set()
    first: dict[str, tuple[Place, str]] = {}  # text: (where it is written, first run that has it)
    for run in runs:
        data = run.science.data
        for planned in run.evaluations:
            evaluation = planned.evaluation
            key = (data, evaluation.protocol, evaluation.samples, evaluation.sampling)
            if key in seen:
                continue
            seen.add(key)
            for misfit in misfits(protocol_of(evaluation.protocol), data, evaluation, few):
                if misfit.text not in first:
                    first[misfit.text] = (_place(study, run, evaluation, misfit), run.name)
    for text, (place, name) in first.items():
        found.add(place, "evaluate", f"{text} (run {name or 'base'})")


def _place(study: Study, run: Run, evaluation: Evaluation, misfit: Misfit) -> Place:
    """Return where the setting of a misfit is written, in the block that plans the evaluation."""
    key = misfit.setting
    default = (Evaluation.model_fields["protocol"].default,)
    point = {half: getattr(run.science, half).__dict__ for half in type(run.science).model_fields}
    blocks = [
        i
        for i, block in enumerate(study.evaluate)
        if evaluation.protocol in block.values.get("protocol", default)
        and all(agrees(path, wanted, point) for path, wanted in block.where.items())
    ]
    # A block that writes the value out comes before one that leaves it to a default.
    value = _setting(evaluation, key)
    blocks.sort(key=lambda i: value not in study.evaluate[i].values.get(key, ()))
    return study.place(f"evaluate[{blocks[0]}].{key}", f"evaluate[{blocks[0]}]")


def _check_claims(study: Study, runs: Sequence[Run], found: Problems) -> None:
    """Note metrics that no protocol measures, and values of columns that no run has."""
    measured = [metric for row in PROTOCOLS.values() for metric in row.metrics]
    metrics = [*OF_RUNS, *dict.fromkeys(measured)]
    columns = _columns(runs) if study.claims else {}
    for i, claim in enumerate(study.claims):
        path = f"claims[{i}]"
        if claim.metric not in metrics:
            hint = nearest(claim.metric, metrics)
            text = f"unknown metric {claim.metric!r}{hint}; metrics are {', '.join(metrics)}"
            found.add(study.place(f"{path}.metric", path), f"{path}.metric", text)
        for key, column, value in claim.selected():
            if column in columns and not _among(value, columns[column]):
                have = ", ".join(map(show, sorted(columns[column], key=str)[:_SHOWN]))
                text = f"no run of this study has {column} {show(value)}; they have {have}"
                found.add(study.place(f"{path}.{key}", path), f"{path}.{key}", text)


def _among(value: Any, have: set[Any]) -> bool:
    """Return whether a value is among those; true is not 1."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in have)


def _columns(runs: Iterable[Run]) -> dict[str, set[Any]]:
    """Return the columns known before any run, each with the values it takes in these runs."""
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
        facts |= network_facts(science)
        facts |= {"objective": science.objective.name, "seed": science.train.seed}
        for column, value in facts.items():
            columns.setdefault(column, set()).add(value)
    return columns
