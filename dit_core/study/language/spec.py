"""The study language: a YAML file to a `Study`, every problem with its line and remedy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dit_core.study.catalogue.figures import figure_name
from dit_core.study.language.claims_of import read_claims
from dit_core.study.language.fields import evaluation_fields, execution_fields
from dit_core.study.language.path_reader import PathReader
from dit_core.study.language.source import Source, merge_source, read_source
from dit_core.study.language.study_model import EvaluateBlock, Rows, Study, Values
from dit_core.study.language.yaml_loader import Node, decode
from dit_core.study.problems import Place, Problems, show, strange_letter, unknown_key
from dit_core.study.science.execution import Execution

TRAINING = ("study", "question", "extends", "base", "axes", "zip", "exclude", "include")
KEYS = (*TRAINING, "evaluate", "execution", "claims", "figures")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
RESERVED = {
    "published",
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10)),
}
MAX_EXCLUDES = 1000


def load_study(path: Path | str) -> Study:
    """Return the study in the file at `path`, checked key by key.

    Nothing is expanded: points that cannot be (heads that do not divide the width) are found by
    `expand`. Raises StudyError with every problem found.
    """
    path = Path(path)
    return _checked_study(read_source(path), path)


def parse_study(text: str, path: Path) -> Study:
    """Return the study that `text` writes, as `load_study` does.

    `path` names it in messages and anchors `extends`.
    """
    return _checked_study(
        merge_source(decode(text.encode(errors="surrogatepass"), str(path)), path), path
    )


def _checked_study(source: Source, path: Path) -> Study:
    reader = _Reader(source.top)
    study = reader.study()
    reader.problems.raise_any()
    return Study(path=path, text=source.text, parents=source.parents, places=reader.places, **study)


class _Reader:
    """Checks the tree of one study and collects its problems."""

    def __init__(self, top: Node) -> None:
        self.top = top
        self.problems = Problems()
        self.places: dict[str, Place] = {}
        self.paths = PathReader(self.problems, self.places)

    def study(self) -> dict[str, Any]:
        """Return the arguments of Study; meaningless while there are problems."""
        self._known_keys()
        blocks = enumerate(self._items("evaluate", True))
        return {
            "name": self._name(),
            "question": self._question(),
            **self._grid(),
            "exclude": self._blocks("exclude", MAX_EXCLUDES),
            "include": self._blocks("include"),
            "evaluate": tuple(self._evaluate(f"evaluate[{i}]", node) for i, node in blocks),
            "execution": self._execution(),
            "claims": self._claims(),
            "figures": self._figures(),
        }

    def _grid(self) -> dict[str, Any]:
        """Return base, axes and zip."""
        keys = self.top.value
        empty = Node({}, self.top.place)
        base = self.paths.rows("base", keys.get("base", empty))
        axes = self.paths.rows("axes", keys.get("axes", empty), lists=True)
        zips = tuple(
            self.paths.rows(f"zip[{i}]", n, lists=True) for i, n in enumerate(self._items("zip"))
        )
        for i, group in enumerate(zips):
            self._same_length(f"zip[{i}]", group)
        self._once([axes, *zips])
        values = {path: values[0] for path, values in base.values.items() if values}
        return {"base": values, "axes": axes, "zip": zips}

    def _known_keys(self) -> None:
        for key, node in self.top.value.items():
            self.places[key] = node.place
            if key not in KEYS:
                self.problems.add(node.place, key, unknown_key(key, list(KEYS)))
        for key in ("study", "question", "base"):
            if key not in self.top.value:
                self.problems.add(
                    self.top.place, key, "missing; a study needs `study`, `question` and `base`"
                )

    def _name(self) -> str:
        node = self.top.value.get("study")
        if node is None:
            return ""
        name = node.value
        if not isinstance(name, str) or not NAME.match(name) or ".." in name or name.endswith("."):
            strange = strange_letter(name) if isinstance(name, str) else ""
            self.problems.add(
                node.place,
                "study",
                f"given {show(node.plain())}{strange}; a name is lower-case letters, digits, '.', "
                "'_', '-', "
                "starts with a letter or digit, has at most 64 characters and no '..'",
            )
        elif name.split(".")[0] in RESERVED:
            self.problems.add(node.place, "study", f"the name {name!r} is reserved; choose another")
        return str(name)

    def _question(self) -> str:
        node = self.top.value.get("question")
        if node is not None and not (
            isinstance(node.value, str) and 0 < len(node.value.strip()) <= 2000
        ):
            text = "wants the question the study answers, as text of at most 2000 characters"
            self.problems.add(node.place, "question", f"given {show(node.plain())}; {text}")
        return " ".join(str(node.value).split()) if node else ""

    def _items(self, key: str, single: bool = False) -> list[Node]:
        """Return the entries of a list; with `single` one mapping stands for a list of one."""
        node = self.top.value.get(key)
        if node is None:
            return []
        if isinstance(node.value, list):
            for i, item in enumerate(node.value):
                self.places[f"{key}[{i}]"] = item.place
            return node.value
        if single and isinstance(node.value, dict):
            self.places[f"{key}[0]"] = node.place
            return [node]
        self.problems.add(node.place, key, f"given {show(node.plain())}; wants a list of entries")
        return []

    def _blocks(self, key: str, most: int = 100_000) -> tuple[Rows, ...]:
        items = self._items(key)
        if len(items) > most:
            self.problems.add(items[most].place, key, f"{len(items):,} entries; at most {most:,}")
            return ()
        return tuple(
            self.paths.rows(f"{key}[{i}]", node, filled=True) for i, node in enumerate(items)
        )

    def _same_length(self, where: str, group: Rows) -> None:
        lengths = {path: len(values) for path, values in group.values.items()}
        if len(set(lengths.values())) > 1 and not self.problems.lines:
            parts = ", ".join(f"{path} has {n} values" for path, n in lengths.items())
            self.problems.add(
                group.place, where, f"axes that move together need equal lengths; {parts}"
            )
        if not lengths and not self.problems.lines:
            self.problems.add(group.place, where, "an empty entry; remove it or give it axes")

    def _once(self, groups: list[Rows]) -> None:
        first: dict[str, Place] = {}
        for group in groups:
            for path, place in group.places.items():
                if path in first:
                    self.problems.add(
                        place, path, f"two axes set it, in {first[path]} and {place}; keep one"
                    )
                first.setdefault(path, place)

    def _evaluate(self, where: str, node: Node) -> EvaluateBlock:
        values: Values = {}
        places: dict[str, Place] = {}
        chosen: Values = {}
        if not isinstance(node.value, dict) or not node.value:
            self.problems.add(
                node.place,
                where,
                f"given {show(node.plain())}; wants a mapping of evaluation settings",
            )
            return EvaluateBlock(values={}, place=node.place)
        table = evaluation_fields()
        for key, item in node.value.items():
            if key == "where":
                chosen = self.paths.rows(f"{where}.where", item, filled=True).values
                continue
            if key not in table:
                self.problems.add(item.place, f"{where}.{key}", unknown_key(key, [*table, "where"]))
                continue
            self.places[f"{where}.{key}"] = places[key] = item.place
            items = item.value if isinstance(item.value, list) else [item]
            values[key] = self.paths.checked(f"{where}.{key}", table[key], items)
            if not items:
                self.problems.add(
                    item.place, f"{where}.{key}", "an empty list; give at least one value"
                )
        return EvaluateBlock(values=values, places=places, place=node.place, where=chosen)

    def _execution(self) -> Execution:
        node = self.top.value.get("execution")
        if node is None:
            return Execution()
        if not isinstance(node.value, dict):
            self.problems.add(
                node.place, "execution", f"given {show(node.plain())}; wants a mapping"
            )
            return Execution()
        table = execution_fields()
        settings: dict[str, Any] = {}
        for key, item in node.value.items():
            if key not in table:
                self.problems.add(item.place, f"execution.{key}", unknown_key(key, list(table)))
                continue
            settings[key] = next(
                iter(self.paths.checked(f"execution.{key}", table[key], [item])), None
            )
        return Execution() if self.problems.lines else Execution(**settings)

    def _claims(self) -> tuple[Any, ...]:
        nodes = self._items("claims")
        for i, node in enumerate(nodes):
            for key, item in node.value.items() if isinstance(node.value, dict) else ():
                self.places[f"claims[{i}].{key}"] = item.place
        return read_claims(nodes, self.problems)

    def _figures(self) -> tuple[str, ...]:
        names = []
        for i, node in enumerate(self._items("figures")):
            word = str(node.value) if type(node.value) in (str, int) else ""
            try:
                names.append(figure_name(word))
            except ValueError as error:
                self.problems.add(
                    node.place, f"figures[{i}]", f"given {show(node.plain())}; {error}"
                )
        return tuple(names)
