"""Evaluations of a run: the blocks of `evaluate` that select it, each the product of its lists."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import ValidationError

from dit_core.errors import FieldError, UserError
from dit_core.study.catalogue.protocols import protocol_of
from dit_core.study.grid.faults import faults_of
from dit_core.study.grid.resolve import agrees
from dit_core.study.language.fields import evaluation_fields
from dit_core.study.language.study_model import EvaluateBlock
from dit_core.study.price.steps import check_sampler
from dit_core.study.problems import Fault
from dit_core.study.science.duration import point_of
from dit_core.study.science.guidance import misguided, unguidable
from dit_core.study.science.sampling import SAMPLERS_OF, Evaluation, Sampling
from dit_core.study.science.science import Science

Key = tuple[Any, ...]
BlockFault = tuple[int, Fault]
"""Number of the block of `evaluate`, and what is wrong with it."""


class Planner:
    """The evaluations of runs; equal ones are computed once, so that runs share frozen values."""

    def __init__(self, blocks: tuple[EvaluateBlock, ...]) -> None:
        self.blocks = blocks
        self.selected = [0] * len(blocks)
        """How many runs each block's `where` selected."""
        self._where: list[dict[Key, bool]] = [{} for _ in blocks]
        self._built: dict[Key, tuple[tuple[Evaluation, ...], tuple[BlockFault, ...]]] = {}
        self._alive: list[
            Any
        ] = []  # keeps sections whose id() is a key from being freed and their id re-used

    def of(self, science: Science) -> tuple[tuple[Evaluation, ...], tuple[BlockFault, ...]]:
        """Return (the run's evaluations without repeats, faults with the block's number)."""
        chosen = tuple(i for i in range(len(self.blocks)) if self._selects(i, science))
        for i in chosen:
            self.selected[i] += 1
        train = science.train
        length = (train.images, train.batch, science.data.images)
        key = (chosen, science.objective, length, unguidable(science))
        if key not in self._built:
            self._built[key] = self._build(chosen, science)
        return self._built[key]

    def _selects(self, i: int, science: Science) -> bool:
        where = self.blocks[i].where
        if not where:
            return True
        sections = {name: getattr(science, name) for name in Science.model_fields}
        key = tuple(map(id, sections.values()))
        if key not in self._where[i]:
            self._alive.append(sections)
            plain = {name: section.__dict__ for name, section in sections.items()}
            self._where[i][key] = all(agrees(path, values, plain) for path, values in where.items())
        return self._where[i][key]

    def _build(
        self, chosen: tuple[int, ...], science: Science
    ) -> tuple[tuple[Evaluation, ...], tuple[BlockFault, ...]]:
        found: dict[Evaluation, None] = {}
        faults: dict[BlockFault, None] = {}
        for i in chosen:
            evaluations, problems = evaluations_of(self.blocks[i], science)
            found.update(dict.fromkeys(evaluations))
            faults.update(dict.fromkeys((i, problem) for problem in problems))
        return tuple(sorted(found, key=lambda e: e.images_seen)), tuple(faults)


def evaluations_of(block: EvaluateBlock, science: Science) -> tuple[list[Evaluation], list[Fault]]:
    """Return (the evaluations of a run that a block states, faults); `where` is not applied."""
    fitting = SAMPLERS_OF[science.objective.name]
    lists = {name: list(values) for name, values in block.values.items()}
    lists.setdefault("sampler", [fitting[0]])
    lists.setdefault("at", [evaluation_fields()["at"].check("end")])
    given = lists["sampler"]
    lists["sampler"] = [name for name in given if name in fitting]
    if not lists["sampler"]:
        wrong = ", ".join(map(str, given))
        text = (
            f"sampler: {wrong} cannot sample objective {science.objective.name!r}; "
            f"allowed: {', '.join(fitting)} (or leave these runs out with `where`)"
        )
        return [], [Fault(text, ("sampler",))]
    return _product(lists, science)


def _product(lists: dict[str, list[Any]], science: Science) -> tuple[list[Evaluation], list[Fault]]:
    evaluations: list[Evaluation] = []
    faults: dict[Fault, None] = {}
    for values in itertools.product(*lists.values()):
        try:
            evaluations.append(_evaluation(dict(zip(lists, values, strict=True)), science))
        except ValidationError as error:
            faults.update(dict.fromkeys(faults_of(error)))
        except FieldError as error:
            faults[Fault(str(error), error.fields)] = None
        except (ValueError, UserError) as error:
            faults[Fault(str(error))] = None
    return evaluations, list(faults)


def _evaluation(values: dict[str, Any], science: Science) -> Evaluation:
    train = science.train
    at = point_of(values.pop("at"), train.images, train.batch, science.data.images)
    sampling = Sampling(
        **{name: values.pop(name) for name in Sampling.model_fields if name in values}
    )
    protocol = values.get("protocol", Evaluation.model_fields["protocol"].default)
    if values.get("samples") is None:
        values["samples"] = protocol_of(protocol).default_samples
    check_sampler(science.objective, sampling)
    if wrong := misguided(science, sampling):
        raise FieldError(wrong, "guidance")
    return Evaluation(images_seen=at, sampling=sampling, **values)
