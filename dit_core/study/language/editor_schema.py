"""The JSON schema (draft 2020-12) by which editors complete and check a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter

from dit_core.study.catalogue.figures import FIGURES, numbers
from dit_core.study.language.field import Field
from dit_core.study.language.fields import evaluation_fields, execution_fields, science_fields
from dit_core.study.language.sections import sections
from dit_core.study.science.claim_kinds import Claim

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}


def editor_schema() -> str:
    """Return studies/study.schema.json: every key with its type, default and meaning.

    Unknown keys are refused.
    """
    claims = _unwrapped(TypeAdapter(tuple[Claim, ...]).json_schema(ref_template="#/$defs/{model}"))
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ditlab study",
        "type": "object",
        "required": ["study", "question", "base"],
        "properties": {
            **_grid_keys(),
            "evaluate": {"oneOf": [_evaluation(), _listed(_evaluation())]},
            "execution": _object({name: _one(field) for name, field in execution_fields().items()}),
            "claims": {key: value for key, value in claims.items() if key != "$defs"},
            "figures": _figures(),
        },
        "additionalProperties": False,
        "$defs": {**claims.get("$defs", {}), **_definitions(), **_forms()},
    }
    return json.dumps(schema, indent=1, sort_keys=False, ensure_ascii=False) + "\n"


def _figures() -> Schema:
    names: Schema = {"enum": [*FIGURES, *numbers()]}
    return _about(_listed(names), "Figures wanted, by name or the paper's number.")


def _about(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _grid_keys() -> Schema:
    """Return the keys that name a study and its runs."""
    name = {**TEXT, "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}
    extends = "Another study file whose keys are taken over where not given here."
    zipped = "Axes that move together: lists of equal length."
    return {
        "study": _about(name, "Name of the study."),
        "question": _about(TEXT, "The question the study answers, in one sentence."),
        "extends": _about(TEXT, extends),
        "base": _about(_ref("one"), "What all runs start from."),
        "axes": _about(_ref("list"), "Science path to list of values: the full grid."),
        "zip": _about(_listed(_ref("list")), zipped),
        "exclude": _about(_listed(_ref("either")), "Points left out of the grid."),
        "include": _about(_listed(_ref("either")), "Further points on top of base; lists expand."),
    }


def _one(field: Field) -> Schema:
    return {"$ref": f"#/$defs/{_group(field)}.{field.path.rpartition('.')[2]}"}


def _group(field: Field) -> str:
    if "." in field.path:
        return field.path.partition(".")[0]
    return "execution" if field is execution_fields().get(field.path) else "evaluate"


def _definitions() -> Schema:
    tables = (science_fields(), evaluation_fields(), execution_fields())
    return {
        _one(field)["$ref"].removeprefix("#/$defs/"): _value(field)
        for t in tables
        for field in t.values()
    }


def _unwrapped(schema: Any) -> Any:
    """Return a schema with descriptions of one line: docstrings are wrapped, tooltips not."""
    if isinstance(schema, list):
        return [_unwrapped(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: " ".join(value.split())
        if key == "description" and isinstance(value, str)
        else _unwrapped(value)
        for key, value in schema.items()
    }


def _value(field: Field) -> Schema:
    value = dict(TEXT) if field.parse else field.adapter.json_schema()
    if not field.required and field.default is not None:
        value["default"] = field.default
    return {**value, "description": f"{field.description} Wants {field.wants}."}


def _list(field: Field) -> Schema:
    return _listed(_one(field))


def _either(field: Field) -> Schema:
    return {"anyOf": [_one(field), _list(field)]}


def _listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(properties: Schema, description: str = "") -> Schema:
    text = {"description": description} if description else {}
    return {"type": "object", **text, "properties": properties, "additionalProperties": False}


def _ref(form: str) -> Schema:
    return {"$ref": f"#/$defs/paths.{form}"}


def _forms() -> Schema:
    """Return objects that take science paths, nested and dotted.

    There is one for each form of their values: one value, a list, or either.
    """
    forms: dict[str, Callable[[Field], Schema]] = {"one": _one, "list": _list, "either": _either}
    return {f"paths.{name}": _paths(form) for name, form in forms.items()}


def _paths(form: Callable[[Field], Schema]) -> Schema:
    properties: Schema = {}
    for section in sections():
        rows = {
            path: field
            for path, field in science_fields().items()
            if path.startswith(f"{section}.")
        }
        properties[section] = _object(
            {path.partition(".")[2]: form(field) for path, field in rows.items()}
        )
        properties.update({path: form(field) for path, field in rows.items()})
    return _object(properties)


def _evaluation() -> Schema:
    rows = {name: _either(field) for name, field in evaluation_fields().items()}
    return _object(
        {**rows, "where": {**_ref("either"), "description": "Which runs are measured."}},
        "One block of evaluations.",
    )
