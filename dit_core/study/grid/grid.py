"""The grid of a study: dimensions and excludes, counted without being built, walked by point."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dit_core.errors import StudyError
from dit_core.study.grid.resolve import (
    Flat,
    agrees,
    defaults_of,
    depends,
    resolve_section,
    section_depends,
)
from dit_core.study.language.study_model import SECTIONS, Study, Values
from dit_core.study.problems import Fault, Place

LARGEST = 1_000_000
Point = tuple[int, ...]
"""One index per dimension."""


@dataclass(frozen=True)
class Dimension:
    """One dimension: one path, or several that move together; `rows[i]` holds values of index i."""

    paths: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Grid:
    """The product of dimensions over base, less the excluded points."""

    base: Flat
    dimensions: tuple[Dimension, ...]
    excludes: tuple[Values, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)
    """Where each swept path was written, for messages."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the swept paths in the order they were written."""
        return tuple(path for dimension in self.dimensions for path in dimension.paths)

    @property
    def where(self) -> str:
        """Return the place of the first swept path, for messages."""
        return str(next(iter(self.places.values()), ""))

    @property
    def size(self) -> int:
        """Return the number of points, the excluded ones included."""
        return math.prod(len(dimension.rows) for dimension in self.dimensions)

    def readers(self, paths: tuple[str, ...]) -> tuple[int, ...]:
        """Return the dimensions that set one of `paths`."""
        return tuple(
            i for i, dimension in enumerate(self.dimensions) if set(dimension.paths) & set(paths)
        )

    @cached_property
    def section_dimensions(self) -> dict[str, tuple[int, ...]]:
        """Return for each section the dimensions that its resolved fields depend on."""
        return {
            section: tuple(
                i
                for i, dimension in enumerate(self.dimensions)
                if any(
                    p.split(".")[0] == section or p in section_depends(section)
                    for p in dimension.paths
                )
            )
            for section in SECTIONS
        }

    def settings(self, point: Point) -> Flat:
        """Return path to value of one point, base included."""
        flat = dict(self.base)
        for dimension, index in zip(self.dimensions, point, strict=True):
            flat.update(zip(dimension.paths, dimension.rows[index], strict=True))
        return flat

    def section(self, name: str, point: Point) -> tuple[Flat, list[Fault]]:
        """Return (fields, faults) of a section; resolved once per combination of its dimensions."""
        key = (name, *(point[i] for i in self.section_dimensions[name]))
        if key not in self._resolved:
            others = {"data": self.section("data", point)[0]} if name == "train" else {}
            self._resolved[key] = resolve_section(name, self._given(name, point), others)
        return self._resolved[key]

    @cached_property
    def _resolved(self) -> dict[tuple[Any, ...], tuple[Flat, list[Fault]]]:
        return {}  # of `section`, whose results follow from the fields alone

    @cached_property
    def _base(self) -> dict[str, Flat]:
        split: dict[str, Flat] = {section: {} for section in SECTIONS}
        for path, value in self.base.items():
            section, _, name = path.partition(".")
            split[section][name] = value
        return split

    def _given(self, name: str, point: Point) -> Flat:
        """Return the settings of one section at a point."""
        flat = dict(self._base[name])
        for i in self.section_dimensions[name]:
            dimension = self.dimensions[i]
            for path, value in zip(dimension.paths, dimension.rows[point[i]], strict=True):
                section, _, field_name = path.partition(".")
                if section == name:
                    flat[field_name] = value
        return flat

    def count(self) -> int:
        """Return the number of points that are not excluded, without building one.

        Takes about excludes x values steps.
        """
        if not self.excludes or not self.size:
            return self.size
        alive = Counter({(1 << len(self.excludes)) - 1: 1})
        for masks in self._masks.values():
            step: Counter[int] = Counter()
            for mask, many in alive.items():
                for other in masks.values():
                    step[mask & other] += many
            alive = step
            if len(alive) > LARGEST:
                raise StudyError(
                    [
                        f"{self.where}: exclude: too entangled to count on {self.size:,} points; "
                        "simplify"
                    ]
                )
        touched = {i for group in self._masks for i in group}
        rest = math.prod(len(d.rows) for i, d in enumerate(self.dimensions) if i not in touched)
        return alive[0] * rest

    def idle_excludes(self) -> list[int]:
        """Return the excludes that agree with no point of the grid."""
        if not self.excludes or not self.size:
            return []
        never = 0
        for table in self._masks.values():
            some = 0
            for mask in table.values():
                some |= mask
            never |= ~some
        return [e for e in range(len(self.excludes)) if never >> e & 1]

    def points(self) -> Iterator[Point]:
        """Yield the points that are not excluded, the last dimension running fastest."""
        ranges = [range(len(dimension.rows)) for dimension in self.dimensions]
        if not self.excludes or not self.size:
            yield from itertools.product(*ranges)
            return
        masks = list(self._masks.items())
        everything = (1 << len(self.excludes)) - 1
        for point in itertools.product(*ranges):
            hit = everything
            for group, table in masks:
                hit &= table[tuple(point[i] for i in group)]
            if not hit:
                yield point

    @cached_property
    def _masks(self) -> dict[tuple[int, ...], dict[Point, int]]:
        """Return per group of dimensions and combination of indices the excludes it meets (bits).

        Keys of an exclude that read several dimensions at once (a duration and a batch) tie these
        into one group.
        """
        reads = [
            (e, path, self.readers(depends(path)))
            for e, rule in enumerate(self.excludes)
            for path in rule
        ]
        groups = _joined([dims for _, _, dims in reads])
        masks: dict[tuple[int, ...], dict[Point, int]] = {}
        for group in groups:
            size = math.prod(len(self.dimensions[i].rows) for i in group)
            if size > LARGEST:
                raise StudyError(
                    [
                        f"{self.where}: exclude: ties axes of {size:,} combinations together; "
                        "split them"
                    ]
                )
            masks[group] = {}
            rules = [
                (e, path)
                for e, path, dims in reads
                if set(dims) <= set(group) and (dims or not group)
            ]
            for indices in itertools.product(*(range(len(self.dimensions[i].rows)) for i in group)):
                masks[group][indices] = self._agreeing(group, indices, rules)
        return masks

    def _agreeing(
        self, group: tuple[int, ...], indices: Point, rules: list[tuple[int, str]]
    ) -> int:
        point = [0] * len(self.dimensions)
        for i, index in zip(group, indices, strict=True):
            point[i] = index
        sections: dict[str, Flat] = {}
        mask = (1 << len(self.excludes)) - 1
        for e, path in rules:
            if mask >> e & 1 and not agrees(
                path, self.excludes[e][path], _Lazy(self, tuple(point), sections)
            ):
                mask &= ~(1 << e)
        return mask


class _Lazy(dict[str, Flat]):
    """The sections of a point with their defaults, each resolved when asked for."""

    def __init__(self, grid: Grid, point: Point, seen: dict[str, Flat]) -> None:
        super().__init__()
        self.grid = grid
        self.point = point
        self.seen = seen

    def __missing__(self, name: str) -> Flat:
        if name not in self.seen:
            fields, _ = self.grid.section(name, self.point)
            self.seen[name] = defaults_of(name, fields)
        return self.seen[name]


def _joined(groups: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return disjoint groups such that each given one lies inside one of them."""
    joined: list[set[int]] = []
    for group in map(set, groups):
        touching = [other for other in joined if other & group]
        joined = [other for other in joined if not other & group]
        joined.append(group.union(*touching))
    unique = {tuple(sorted(group)) for group in joined}
    return sorted(unique)


def grids_of(study: Study) -> tuple[Grid, ...]:
    """Return the grid of the axes and one grid per include entry.

    A study with include entries and no axes has no other points than these.
    """
    grids: list[Grid] = []
    axes = [
        Dimension((path,), tuple((v,) for v in values))
        for path, values in study.axes.values.items()
    ]
    zips = [
        Dimension(tuple(g.values), tuple(zip(*g.values.values(), strict=True))) for g in study.zip
    ]
    if axes or zips or not study.include:
        rules = tuple(rule.values for rule in study.exclude)
        places = {
            path: place for rows in (study.axes, *study.zip) for path, place in rows.places.items()
        }
        grids.append(Grid(study.base, (*axes, *zips), rules, places))
    for rows in study.include:
        dimensions = [
            Dimension((path,), tuple((v,) for v in values)) for path, values in rows.values.items()
        ]
        grids.append(Grid(study.base, tuple(dimensions), (), rows.places))
    return tuple(grids)


def count(study: Study) -> int:
    """Return the number of points of a study, before equal ones are merged; none is built."""
    return sum(grid.count() for grid in grids_of(study))
