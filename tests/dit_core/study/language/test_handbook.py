"""The generated pages: equal to the schema, complete, and true to what the reader takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dit_core.study.grid.expand import Expansion, expand
from dit_core.study.language.editor_schema import editor_schema
from dit_core.study.language.fields import evaluation_fields, execution_fields, science_fields
from dit_core.study.language.handbook import STUDIES, markdown
from dit_core.study.language.sections import section_of
from dit_core.study.language.spec import KEYS, load_study
from dit_core.study.language.units import UNITS
from dit_core.study.science.claim_kinds import Claim

SHIPPED = sorted(STUDIES.glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "text"), [("README.md", markdown), ("study.schema.json", editor_schema)]
)
def test_the_committed_page_equals_the_generated_one(name: str, text: Callable[[], str]) -> None:
    written = (STUDIES / name).read_text(encoding="utf-8")
    assert written == text(), (
        f"studies/{name} is stale: run `python -m dit_core.study.language.handbook`"
    )


def test_every_key_is_listed_with_type_unit_default_and_meaning() -> None:
    page = markdown()
    tables = {
        "": science_fields(),
        "evaluate.": evaluation_fields(),
        "execution.": execution_fields(),
    }
    for prefix, table in tables.items():
        for path, field in table.items():
            (row,) = [
                line
                for line in page.splitlines()
                if line.startswith(f"| `{path}` |") and field.wants in line
            ]
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            assert len(cells) == 5
            assert all(cells), row
            is_number = bool({int, float} & field.kinds) or field.parse is not None
            assert is_number == (prefix + path in UNITS), f"unit of {prefix + path}"
            assert len(field.description) > 5, f"docstring of {path}"
    for key in KEYS:
        assert f"| `{key}` |" in page
    for kind, model in section_of(Claim).variants.items():
        assert f"### `kind: {kind}`" in page
        assert all(f"| `{name}` |" in page for name in model.model_fields)
    assert len(UNITS) == len(set(UNITS))


def test_the_example_of_the_page_is_a_study(expanded: Callable[..., Expansion]) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", markdown(), re.DOTALL)
    runs = expanded(example).runs
    assert [run.name for run in runs][:2] == ["size=XXS,patch=4", "size=XXS,patch=2"]
    assert all(len(run.evaluations) == 4 for run in runs)


def fits(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Return whether a value fits a JSON schema: the part of the standard that the editor schema
    uses.
    """
    if "$ref" in schema:
        return fits(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return any(fits(part, value, root) for part in schema[word])
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind = schema["type"]
    if kind == "object":
        known = schema.get("properties", {})
        other = schema.get("additionalProperties", True)
        return isinstance(value, dict) and all(
            fits(known.get(key, other), item, root)
            if isinstance(known.get(key, other), dict)
            else other is True
            for key, item in value.items()
        )
    if kind == "array":
        return isinstance(value, list) and all(fits(schema["items"], item, root) for item in value)
    kinds: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    return isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_studies_load_expand_and_fit_the_editor_schema(path: Path) -> None:
    assert expand(load_study(path)).runs
    schema = json.loads(editor_schema())
    assert fits(schema, plain(path.read_text(encoding="utf-8")), schema)


def plain(text: str) -> Any:
    """Return the values of a study text as an editor of YAML 1.2 sees them."""
    from dit_core.study.language.yaml_loader import read_yaml

    return read_yaml(text, "x.yaml").plain()


def test_the_editor_schema_refuses_what_the_reader_refuses(full: str) -> None:
    schema = json.loads(editor_schema())
    assert fits(schema, plain(full), schema)
    for wrong in (
        "  size: XS",
        "model.size",
        "steps:",
        "threads",
        "execution:",
        "figures:",
        "kind:",
    ):
        word = wrong.strip(" :").split(":")[0].split(".")[-1]
        broken = full.replace(word, word + "x")
        assert broken != full
        assert not fits(schema, plain(broken), schema), word
    assert not fits(schema, plain(full.replace("lr: 1e-3", "lr: fast")), schema)
