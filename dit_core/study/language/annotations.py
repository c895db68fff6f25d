"""What the type of a field accepts, and what a message calls it."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

PLAIN = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def ordered(annotation: Any) -> list[Any]:
    """Return the plain types, models and literal values of a type, in the order written."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return ordered(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in ordered(part)]
    if origin is Literal:
        return list(get_args(annotation))
    return [origin or annotation]


def kinds_of(annotation: Any) -> list[Any]:
    """Return the plain types and literal values of a type that can be hashed."""
    return [kind for kind in ordered(annotation) if not isinstance(kind, list)]


def describe(annotation: Any) -> str:
    """Return what a message calls a type: "a whole number > 0", "one of a, b"."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return _bounded(describe(inner), metadata)
    if origin in (Union, UnionType):
        return " or ".join(describe(part) for part in get_args(annotation))
    if origin is Literal:
        words = get_args(annotation)
        return str(words[0]) if len(words) == 1 else "one of " + ", ".join(map(str, words))
    if annotation in PLAIN:
        return PLAIN[annotation]
    if origin is dict:
        key, value = get_args(annotation)
        return f"a mapping of {describe(key)} to {describe(value)}"
    if origin in (list, tuple):
        return f"a list of {describe(get_args(annotation)[0])}"
    fields = getattr(annotation, "model_fields", None)
    return "a value" if fields is None else f"a mapping of {', '.join(fields)}"


def _bounded(inner: str, metadata: list[Any]) -> str:
    bounds: list[str] = []
    for item in _flat_metadata(metadata):
        for name, sign in BOUNDS.items():
            limit = getattr(item, name, None)
            if limit is not None:
                power = "2^63" if limit == 2**63 else f"{limit:g}"
                bounds.append(f"{sign} {power}")
        pattern = getattr(item, "pattern", None)
        if pattern:
            bounds.append(f"of the form {pattern}")
    text = f"{inner} {', '.join(bounds)}".strip()
    return text.replace("number >= 0, <= 1", "number from 0 to 1")


def _flat_metadata(metadata: list[Any]) -> list[Any]:
    return [
        part
        for item in metadata
        for part in (item.metadata if isinstance(item, FieldInfo) else [item])
    ]
