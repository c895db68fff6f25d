"""The table of all fields a study may set, taken from the models: type, default, meaning, and a
strict check.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from dit_core.errors import nearest
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.problems import show
from dit_core.study.science.duration import FORMS, parse_duration, parse_point
from dit_core.study.science.execution import Execution
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import SIZES, Science

STRICT = ConfigDict(strict=True, allow_inf_nan=False)
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
NUMBER_WORDS = {"number > 0": "number > 0", "number >= 0, <= 1": "number from 0 to 1"}


@dataclass(frozen=True)
class Field:
    """One field of the study language; `path` is its key path, `owners` the variants of its section
    that have it.
    """

    path: str
    annotation: Any
    required: bool
    default: Any
    description: str
    owners: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    """A parser in place of a type (durations)."""
    words: str = ""
    """What is wanted, where `parse` is given."""

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Return the strict validator of one value."""
        return TypeAdapter(self.annotation, config=STRICT)

    @cached_property
    def kinds(self) -> frozenset[Any]:
        """Return the plain types and literal values this field accepts."""
        return frozenset(_kinds(self.annotation))

    @cached_property
    def words_allowed(self) -> tuple[str, ...]:
        """Return the words of an enumeration, or nothing."""
        return tuple(kind for kind in _ordered(self.annotation) if isinstance(kind, str))

    @cached_property
    def wants(self) -> str:
        """Return in words what a value must be: "a whole number > 0", "one of a, b"."""
        return self.words or _describe(self.annotation)

    def check(self, value: Any) -> Any:
        """Return the value in the field's own type; raise ValueError with what was given and what
        is allowed.
        """
        if self.parse:
            return self.parse(value)
        value = self._coerced(value)
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            hint = nearest(value, self.words_allowed) if isinstance(value, str) and value else ""
            why = (
                ""
                if _is_plain_kind(error)
                else f" ({'; '.join(sorted({e['msg'] for e in error.errors()}))})"
            )
            raise ValueError(
                f"given {show(value)}{hint or self._remedy(value)}{why}; wants {self.wants}"
            ) from None

    def _coerced(self, value: Any) -> Any:
        """Bring a number to the type the field stores, so that `256.0` and `256` are one value."""
        if (
            isinstance(value, float)
            and value.is_integer()
            and abs(value) < 2**53
            and float not in self.kinds
        ):
            return int(value) if int in self.kinds else value
        if type(value) is int and float in self.kinds and int not in self.kinds:
            return float(value)
        if isinstance(value, list) and tuple in self.kinds:
            return tuple(value)
        return value

    def _remedy(self, value: Any) -> str:
        if isinstance(value, list) and not {list, tuple} & self.kinds:
            return " (lists of values go under `axes`, `zip` or `include`)"
        if not isinstance(value, str):
            return ""
        if bool in self.kinds and value.lower() in (
            "yes",
            "no",
            "on",
            "off",
            "true",
            "false",
            "y",
            "n",
        ):
            return " (text; write true or false, unquoted)"
        if int in self.kinds or float in self.kinds:
            if re.fullmatch(r"[-+]?\.?(nan|inf)", value, re.IGNORECASE):
                return " (not finite)"
            if re.fullmatch(r"[-+]?0\w+", value):
                return " (text; numbers are decimal, without leading zeros)"
            return " (text)"
        return ""


def _is_plain_kind(error: ValidationError) -> bool:
    kinds = ("type", "literal_error", "pattern", "greater_than", "less_than", "bool", "finite")
    return all(any(kind in e["type"] for kind in kinds) for e in error.errors())


def _ordered(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _ordered(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _ordered(part)]
    if origin is Literal:
        return list(get_args(annotation))
    return [origin or annotation]


def _kinds(annotation: Any) -> list[Any]:
    return [kind for kind in _ordered(annotation) if not isinstance(kind, list)]


def _describe(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return _bounded(_describe(inner), metadata)
    if origin in (Union, UnionType):
        return " or ".join(_describe(part) for part in get_args(annotation))
    if origin is Literal:
        words = get_args(annotation)
        return str(words[0]) if len(words) == 1 else "one of " + ", ".join(map(str, words))
    plain = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        NoneType: "null",
    }
    if annotation in plain:
        return plain[annotation]
    if origin is dict:
        key, value = get_args(annotation)
        return f"a mapping of {_describe(key)} to {_describe(value)}"
    if origin in (list, tuple):
        return f"a list of {_describe(get_args(annotation)[0])}"
    return (
        f"a mapping of {', '.join(annotation.model_fields)}"
        if hasattr(annotation, "model_fields")
        else "a value"
    )


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


@dataclass(frozen=True)
class Section:
    """A section of the science: the models it may hold, by the word in its field `key` ("" for a
    single model).
    """

    key: str
    variants: dict[str, type[BaseModel]]

    def model(self, fields: dict[str, Any]) -> type[BaseModel]:
        """Return the model that `fields` name, the first where they name none."""
        return self.variants.get(str(fields.get(self.key))) or next(iter(self.variants.values()))


def section_of(annotation: Any) -> Section:
    """Return the models of a type that is one model or a union with a discriminator."""
    models = [
        kind
        for kind in _ordered(annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    key = next(
        (str(i.discriminator) for i in get_args(annotation) if getattr(i, "discriminator", None)),
        "",
    )
    if not key:
        return Section("", {"": models[0]})
    return Section(key, {str(get_args(m.model_fields[key].annotation)[0]): m for m in models})


@lru_cache(maxsize=1)
def sections() -> dict[str, Section]:
    """Return the sections of the science by name."""
    found = {}
    for name, info in Science.model_fields.items():
        found[name] = section_of(
            Annotated[info.annotation, info] if info.discriminator else info.annotation
        )
    return found


@lru_cache(maxsize=100)
def model_facts(model: type[BaseModel]) -> tuple[frozenset[str], tuple[str, ...], dict[str, Any]]:
    """Return (names of the fields, names of the required ones, name to default of the others)."""
    required = tuple(name for name, info in model.model_fields.items() if info.is_required())
    defaults = {
        name: info.default for name, info in model.model_fields.items() if name not in required
    }
    return frozenset(model.model_fields), required, defaults


def _fields_of(model: type[BaseModel], prefix: str, owner: str = "") -> list[Field]:
    rows = []
    for name, info in model.model_fields.items():
        annotation = (
            Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        )
        default = (
            None
            if info.is_required()
            else info.get_default(call_default_factory=True, validated_data={})
        )
        text = " ".join((info.description or "").split())
        rows.append(
            Field(
                prefix + name,
                annotation,
                info.is_required(),
                default,
                text,
                (owner,) if owner else (),
            )
        )
    return rows


@lru_cache(maxsize=1)
def science_fields() -> dict[str, Field]:
    """Return every science path a study may set: the models' fields, and the short forms `size` and
    `duration`.
    """
    table: dict[str, Field] = {}
    for section, kinds in sections().items():
        key = kinds.key
        variants = kinds.variants
        for owner, model in variants.items():
            for field in _fields_of(model, f"{section}.", owner):
                before = table.get(field.path)
                if field.path == f"{section}.{key}":
                    field = _replace(field, annotation=Literal[tuple(variants)], owners=())
                    field = before or field
                elif before:
                    field = _replace(before, owners=(*before.owners, owner))
                table[field.path] = field
    table["model.size"] = Field("model.size", Literal[tuple(SIZES)], False, None, SIZE_TEXT)
    table["train.duration"] = Field(
        "train.duration",
        str,
        True,
        None,
        DURATION_TEXT,
        parse=parse_duration,
        words=f"a duration: {FORMS}",
    )
    return dict(
        sorted(
            table.items(), key=lambda row: list(Science.model_fields).index(row[0].split(".")[0])
        )
    )


SIZE_TEXT = (
    "Named size, in place of depth, hidden and heads (given here as depth/hidden/heads): "
    + ", ".join(
        f"{name} {depth}/{hidden}/{heads}" for name, (depth, hidden, heads) in SIZES.items()
    )
)
DURATION_TEXT = (
    "Length of the training in steps, images or epochs; resolved to `train.images`, a whole number "
    "of steps. "
    "Epochs are rounded up to the end of a step; a number of images that is not a whole number of "
    "steps is an error."
)
AT_TEXT = (
    "Training points to measure: durations, a share of the run, or end (the default). "
    "A point inside a step is rounded up to its end."
)


@lru_cache(maxsize=1)
def evaluation_fields() -> dict[str, Field]:
    """Return every key of an evaluation block except `where`; a list of values is an evaluation
    axis.
    """
    words = f'{FORMS}, "50%" or "end"'
    table = {
        "at": Field(
            "at",
            str,
            False,
            "end",
            AT_TEXT,
            parse=parse_point,
            words=f"a point of the run: {words}",
        )
    }
    for model in (Evaluation, Sampling):
        for field in _fields_of(model, ""):
            if field.path not in ("images_seen", "sampling"):
                table[field.path] = field
    # Records may name a protocol of another version of ditlab; a study may not.
    table["protocol"] = _replace(table["protocol"], annotation=Literal[tuple(PROTOCOLS)])
    return table


@lru_cache(maxsize=1)
def execution_fields() -> dict[str, Field]:
    """Return every key of `execution`."""
    return {field.path: field for field in _fields_of(Execution, "")}


def _replace(field: Field, **changes: Any) -> Field:
    kept = {name: getattr(field, name) for name in field.__dataclass_fields__}
    return Field(**{**kept, **changes})
