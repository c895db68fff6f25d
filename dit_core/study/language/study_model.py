"""A study as read from its file: checked key by key, not yet expanded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dit_core.study.problems import Place
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science

SECTIONS = tuple(Science.model_fields)
Values = dict[str, tuple[Any, ...]]
"""Key path to the values it takes."""


class Rows(BaseModel):
    """Settings that belong together, with the place they were written at."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    values: Values
    """Key path to the values listed for it."""
    places: dict[str, Place] = Field(default_factory=dict, repr=False)
    """Key path to the line it was written in."""
    place: Place
    """Where the block starts."""


class EvaluateBlock(Rows):
    """One block of `evaluate`: the product of its lists, for the runs that `where` selects."""

    where: Values = Field(default_factory=dict)
    """Science path to the values a run may have; empty selects every run."""


class Study(BaseModel):
    """A study: one question, its runs, their evaluations, claims and figures."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    """Name: lower-case letters, digits, ".", "_" and "-", at most 64; also the name of its results
    folder.
    """
    question: str
    """The question the study answers, in one sentence."""
    base: dict[str, Any]
    """Science path to value: the settings all runs start from."""
    axes: Rows
    """Science path to the values it takes: the full grid of training axes."""
    zip: tuple[Rows, ...] = ()
    """Groups of axes that move together; each group is one dimension of the grid."""
    exclude: tuple[Rows, ...] = ()
    """Points left out of the grid: all keys of an entry must match; a list matches any of its
    values.
    """
    include: tuple[Rows, ...] = ()
    """Further points on top of base, not of the axes; lists expand."""
    evaluate: tuple[EvaluateBlock, ...] = ()
    """Blocks of evaluations."""
    execution: Execution = Execution()
    """What changes no number."""
    claims: tuple[Any, ...] = ()
    """Statements about the results, to be judged."""
    figures: tuple[str, ...] = ()
    """Names of the figures wanted (`dit_core/study/catalogue/figures.py`)."""
    path: Path
    """The file."""
    text: str = Field(repr=False)
    """The file's text as it was read; where it extends others, the merged text."""
    parents: tuple[Path, ...] = ()
    """The files it extends, nearest first."""
    places: dict[str, Place] = Field(default_factory=dict, repr=False)
    """Key path to the line it was written in, for messages."""

    def place(self, *paths: str) -> Place:
        """Return the line of the first of `paths` that the file gives, else of its first line."""
        for path in paths:
            found = self.places.get(path)
            if found:
                return found
        return Place(str(self.path), 1)
