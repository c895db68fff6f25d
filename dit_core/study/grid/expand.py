"""From a study to its runs and evaluations, with ids and names: nothing is read or written."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from dit_core.errors import StudyError
from dit_core.study.grid.evaluations import Planner
from dit_core.study.grid.faults import faults_of
from dit_core.study.grid.grid import Grid, Point, count, grids_of
from dit_core.study.grid.names import distinct, run_name, short_names, word
from dit_core.study.grid.resolve import Flat
from dit_core.study.language.sections import sections
from dit_core.study.language.study_model import SECTIONS, Study
from dit_core.study.problems import Fault, Place, Problems
from dit_core.study.science.duration import Duration
from dit_core.study.science.ids import Hasher
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science

MAX_RUNS = 100_000
ALLOW = "allow it with --allow-empty"

__all__ = ["MAX_RUNS", "Expansion", "count", "expand"]


@dataclass(frozen=True, slots=True)
class Expansion:
    """The runs of a study, in the order of its file.

    `merged_duplicates` points were equal to an earlier one.
    """

    runs: tuple[Run, ...]
    merged_duplicates: int = 0


def expand(study: Study, max_runs: int = MAX_RUNS, allow_empty: bool = False) -> Expansion:
    """Return the runs of a study; raise StudyError with every point and evaluation that cannot be.

    More than `max_runs` points are refused before one is built; no point at all is refused unless
    `allow_empty`.
    """
    points = count(study)
    if points > max_runs:
        raise StudyError(
            [
                f"{study.place('axes', 'include')}: {points:,} runs, more than {max_runs:,}; "
                f"shorten the axes, exclude points, or allow it with --max-runs {points}"
            ]
        )
    empty = points == 0 or any(grid.size == 0 for grid in grids_of(study))
    if empty and not allow_empty:
        raise StudyError([_why_empty(study)])
    _refuse_idle_excludes(study)
    with _no_collection():
        return _Expander(study).expand()


def _refuse_idle_excludes(study: Study) -> None:
    """Raise StudyError where an exclude takes no point out.

    Most often it is a slip, which would cost the runs it meant.
    """
    problems = Problems()
    for grid in grids_of(study)[:1]:  # excludes hold for the grid of the axes, which comes first
        for number in grid.idle_excludes():
            block = study.exclude[number]
            asked = ", ".join(
                f"{path} {'/'.join(map(str, values))}" for path, values in block.values.items()
            )
            text = f"no point of the axes has {asked}; correct it or remove it"
            problems.add(block.place, f"exclude[{number}]", text)
    problems.raise_any()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the search for reference cycles.

    An expansion makes none, and searching a growing heap doubles its time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _why_empty(study: Study) -> str:
    for rows in (study.axes, *study.zip, *study.include):
        for path, values in rows.values.items():
            if not values:
                return f"{rows.places[path]}: {path}: an empty axis leaves no run; {ALLOW}"
    place = study.place("exclude", "axes")
    return f"{place}: exclude: leaves no run out of {grids_of(study)[0].size:,}; {ALLOW}"


@dataclass(slots=True)
class _Draft:
    """A run before its name is settled."""

    run_id: str
    name: str
    science: Science
    swept: dict[str, Any]
    evaluations: tuple[Evaluation, ...]


@dataclass(slots=True)
class _Failure:
    """Something that cannot be, its line, and the first three points it was found at."""

    place: Place
    names: list[str]
    count: int = 0


class _Expander:
    """Builds each section of the science once per combination of its axes, and shares it."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.hasher = Hasher()
        self.planner = Planner(study.evaluate)
        self.drafts: dict[str, _Draft] = {}
        self.hashes: dict[str, str] = {}
        self.merged = 0
        self.failures: dict[tuple[str, str], _Failure] = {}
        self.labels: dict[str, str] = {}
        # Of the grid being expanded: sections by the indices they depend on, words by axis value.
        self.built: dict[tuple[Any, ...], tuple[BaseModel | None, list[Fault]]] = {}
        self.words: dict[tuple[int, int], tuple[dict[str, Any], list[str]]] = {}

    def expand(self) -> Expansion:
        grids = grids_of(self.study)
        self.labels = short_names(dict.fromkeys(path for grid in grids for path in grid.paths))
        for grid in grids:
            self.built.clear()
            self.words.clear()
            for point in grid.points():
                self._take(grid, point)
        self._report()
        drafts = list(self.drafts.values())
        names = distinct([(draft.name, draft.run_id) for draft in drafts])
        runs = tuple(self._run(draft, name) for draft, name in zip(drafts, names, strict=True))
        return Expansion(runs, self.merged)

    def _take(self, grid: Grid, point: Point) -> None:
        science = self._science(grid, point)
        if science is None:
            return
        full = self.hasher.full_hash(science)
        run_id = self.hasher.run_id(full)
        if run_id in self.hashes:
            if self.hashes[run_id] != full:
                self._collision(run_id, grid, point)
            self.merged += 1
            return
        evaluations, faults = self.planner.of(science)
        for block, fault in faults:
            self._fail(f"evaluate[{block}]", fault, grid, point)
        self.hashes[run_id] = full
        swept, parts = self._swept(grid, point)
        self.drafts[run_id] = _Draft(run_id, run_name(parts, run_id), science, swept, evaluations)

    def _science(self, grid: Grid, point: Point) -> Science | None:
        built_sections: dict[str, Any] = {}
        for name in SECTIONS:
            built, faults = self._section(grid, name, point)
            for fault in faults:
                self._fail(name, fault, grid, point)
            built_sections[name] = built
        if any(built is None for built in built_sections.values()):
            return None
        try:
            return Science(**built_sections)
        except ValidationError as error:
            for fault in faults_of(error):
                self._fail("model", fault, grid, point)
            return None

    def _section(self, grid: Grid, name: str, point: Point) -> tuple[BaseModel | None, list[Fault]]:
        key = (name, *[point[i] for i in grid.section_dimensions[name]])
        if key not in self.built:
            fields, faults = grid.section(name, point)
            self.built[key] = (None, faults) if faults else build_section(name, fields)
        return self.built[key]

    def _swept(self, grid: Grid, point: Point) -> tuple[dict[str, Any], list[str]]:
        swept: dict[str, Any] = {}
        parts: list[str] = []
        for number, (dimension, index) in enumerate(zip(grid.dimensions, point, strict=True)):
            key = (number, index)
            if key not in self.words:
                pairs = dict(zip(dimension.paths, dimension.rows[index], strict=True))
                plain = {
                    path: str(v) if isinstance(v, Duration) else v for path, v in pairs.items()
                }
                words = [f"{self.labels[path]}={word(v)}" for path, v in plain.items()]
                self.words[key] = (plain, words)
            plain, words = self.words[key]
            swept.update(plain)
            parts += words
        return swept, parts

    def _run(self, draft: _Draft, name: str) -> Run:
        run_id = draft.run_id
        planned = tuple(
            PlannedEvaluation(self.hasher.eval_id(run_id, e), run_id, e) for e in draft.evaluations
        )
        ends = {evaluation.images_seen for evaluation in draft.evaluations} | {
            draft.science.train.images
        }
        return Run(
            run_id,
            name,
            draft.science,
            self.study.execution,
            planned,
            tuple(sorted(ends)),
            draft.swept,
        )

    def _collision(self, run_id: str, grid: Grid, point: Point) -> None:
        other = self.drafts[run_id].name
        this = run_name(self._swept(grid, point)[1], run_id)
        raise StudyError(
            [
                f"{self.study.path}: runs {other!r} and {this!r} differ but share the id {run_id}; "
                "change the seed of one of them"
            ]
        )

    def _fail(self, part: str, fault: Fault, grid: Grid, point: Point) -> None:
        key = (part, fault.text)
        if key not in self.failures:
            self.failures[key] = _Failure(self._place(part, fault, grid), [])
        failure = self.failures[key]
        failure.count += 1
        if len(failure.names) < 3:
            failure.names.append(run_name(self._swept(grid, point)[1], "x" * 8))

    def _report(self) -> None:
        problems = Problems()
        for (part, text), failure in self.failures.items():
            more = failure.count - len(failure.names)
            points = "; ".join(failure.names) + (f"; and {more} more points" if more else "")
            problems.add(failure.place, part, f"{text} (at {points})")
        for number, block in enumerate(self.study.evaluate):
            if (
                block.where
                and self.drafts
                and not self.planner.selected[number]
                and not problems.lines
            ):
                asked = ", ".join(
                    f"{path} {'/'.join(map(str, values))}" for path, values in block.where.items()
                )
                problems.add(
                    block.place, f"evaluate[{number}].where", f"no run of this study has {asked}"
                )
        problems.raise_any()

    def _place(self, part: str, fault: Fault, grid: Grid) -> Place:
        """Return the line to look at: of a field at fault, swept before base, else of the part."""
        study = self.study
        if part.startswith("evaluate"):
            return study.place(*[f"{part}.{name}" for name in fault.fields], part)
        swept = [path for path in grid.places if path.startswith(f"{part}.")]
        for path in swept:
            if path.rpartition(".")[2] in fault.fields:
                return grid.places[path]
        written = [f"base.{part}.{name}" for name in sorted(fault.fields)]
        named = [path for path in written if path in study.places]
        if swept and not named:
            return grid.places[swept[0]]
        return study.place(*named, f"base.{part}", "base", "study")


def build_section(name: str, fields: Flat) -> tuple[BaseModel | None, list[Fault]]:
    """Return (the validated model of a section, no faults), or (None, what is wrong with it)."""
    try:
        return sections()[name].model(fields).model_validate(fields), []
    except ValidationError as error:
        return None, faults_of(error)
