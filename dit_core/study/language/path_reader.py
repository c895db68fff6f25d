"""Settings by their science path, as a study writes them in base, axes, entries and filters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dit_core.study.language.field import Field
from dit_core.study.language.fields import evaluation_fields, execution_fields, science_fields
from dit_core.study.language.study_model import SECTIONS, Rows, Values
from dit_core.study.language.yaml_loader import Node
from dit_core.study.problems import Place, Problems, show, unknown_key


class PathReader:
    """Checks mappings of science paths; problems and places are collected in those given."""

    def __init__(self, problems: Problems, places: dict[str, Place]) -> None:
        self.problems = problems
        self.places = places

    def rows(self, where: str, node: Node, lists: bool = False, filled: bool = False) -> Rows:
        """Return science path to values: one value in base, a list in axes, either elsewhere.

        With `lists` a single value is an error, with `filled` an empty mapping.
        """
        values: Values = {}
        places: dict[str, Place] = {}
        for path, item in self._flat(where, node).items():
            field = self._known(where, path, item, science_fields())
            if field is None:
                continue
            self.places[f"{where}.{path}"] = places[path] = item.place
            found = self._values(where, path, item, field, lists)
            if found is not None:
                values[path] = found
        if filled and not values and node.value in ({}, None):
            self.problems.add(node.place, where, "an empty entry; remove it or give it keys")
        return Rows(values=values, places=places, place=node.place)

    def _values(
        self, where: str, path: str, item: Node, field: Field, lists: bool
    ) -> tuple[Any, ...] | None:
        full = _path(where, path)
        is_list = isinstance(item.value, list)
        if lists and not is_list:
            self.problems.add(
                item.place, full, f"given {show(item.plain())}; wants a list of values"
            )
            return None
        many = is_list and where != "base"
        if many and not item.value and not lists:
            self.problems.add(item.place, full, "an empty list; give at least one value")
        return self.checked(full, field, item.value if many else [item])

    def checked(self, path: str, field: Field, items: list[Node]) -> tuple[Any, ...]:
        """Return the values that fit the field; of the others the problem is noted."""
        values = []
        for node in items:
            try:
                values.append(field.check(node.plain()))
            except ValueError as error:
                self.problems.add(node.place, path, str(error))
        return tuple(values)

    def _flat(self, where: str, node: Node) -> dict[str, Node]:
        """Return science path to node, of `model: {size: S}` and of `model.size: S` alike.

        A path that is given twice is an error.
        """
        flat: dict[str, Node] = {}
        if not isinstance(node.value, dict):
            text = "wants a mapping of science paths"
            self.problems.add(
                node.place, where, f"given {show(node.plain())}; {text} ({', '.join(SECTIONS)})"
            )
            return flat
        for path, value in self._paths(where, node):
            if path in flat:
                text = f"given twice, in {flat[path].place} and {value.place}"
                self.problems.add(value.place, _path(where, path), text)
            flat[path] = value
        return flat

    def _paths(self, where: str, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield every (science path, node), the sections taken apart."""
        for key, item in node.value.items():
            if key not in SECTIONS:
                yield key, item
                continue
            self.places.setdefault(f"{where}.{key}", item.place)
            if isinstance(item.value, dict):
                yield from ((f"{key}.{name}", part) for name, part in item.value.items())
            else:
                text = f"given {show(item.plain())}; wants a mapping"
                self.problems.add(item.place, _path(where, key), text)

    def _known(self, where: str, path: str, node: Node, table: Mapping[str, Field]) -> Field | None:
        field = table.get(path)
        if field is not None:
            return field
        section, _, name = path.partition(".")
        full = _path(where, path)
        if section in SECTIONS and name:
            siblings = [p.partition(".")[2] for p in table if p.startswith(f"{section}.")]
            self.problems.add(node.place, full, unknown_key(name, siblings))
        else:
            is_section = "." not in path and (where == "base" or isinstance(node.value, dict))
            allowed = list(SECTIONS) if is_section else list(table)
            text = unknown_key(path, allowed)
            if path in evaluation_fields() or section in ("evaluate", "sampling"):
                text += "; sampling and evaluation settings go under `evaluate`"
            elif section == "execution" or path in execution_fields():
                text += "; execution settings cannot be swept, they go under `execution`"
            self.problems.add(node.place, full, text)
        return None


def _path(where: str, path: str) -> str:
    """Return a key path as messages show it: settings of base by their science path."""
    return path if where == "base" else f"{where}.{path}"
