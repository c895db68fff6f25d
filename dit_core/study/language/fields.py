"""The table of all fields a study may set, taken from the models."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel

from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.language.field import Field
from dit_core.study.language.sections import sections
from dit_core.study.science.duration import FORMS, parse_duration, parse_point
from dit_core.study.science.execution import Execution
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import SIZES, Science


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
        owners = (owner,) if owner else ()
        rows.append(Field(prefix + name, annotation, info.is_required(), default, text, owners))
    return rows


@lru_cache(maxsize=1)
def science_fields() -> dict[str, Field]:
    """Return every science path a study may set.

    These are the models' fields, and the short forms `size` and `duration`.
    """
    table: dict[str, Field] = {}
    for name in sections():
        table |= _section_fields(name)
    table["model.size"] = Field("model.size", Literal[tuple(SIZES)], False, None, SIZE_TEXT)
    duration = Field("train.duration", str, True, None, DURATION_TEXT)
    words = f"a duration: {FORMS}"
    table["train.duration"] = replace(duration, parse=parse_duration, words=words)
    order = list(Science.model_fields)
    return dict(sorted(table.items(), key=lambda row: order.index(row[0].split(".")[0])))


def _section_fields(name: str) -> dict[str, Field]:
    """Return the fields of all models that a section may hold, each once."""
    table: dict[str, Field] = {}
    section = sections()[name]
    for owner, model in section.variants.items():
        for field in _fields_of(model, f"{name}.", owner):
            before = table.get(field.path)
            if field.path == f"{name}.{section.key}":
                field = replace(field, annotation=Literal[tuple(section.variants)], owners=())
                field = before or field
            elif before:
                field = replace(before, owners=(*before.owners, owner))
            table[field.path] = field
    return table


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
    """Return every key of an evaluation block except `where`.

    A list of values is an evaluation axis.
    """
    words = f'a point of the run: {FORMS}, "50%" or "end"'
    at = Field("at", str, False, "end", AT_TEXT, parse=parse_point, words=words)
    table = {"at": at}
    for model in (Evaluation, Sampling):
        for field in _fields_of(model, ""):
            if field.path not in ("images_seen", "sampling"):
                table[field.path] = field
    # Records may name a protocol of another version of ditlab; a study may not.
    table["protocol"] = replace(table["protocol"], annotation=Literal[tuple(PROTOCOLS)])
    return table


@lru_cache(maxsize=1)
def execution_fields() -> dict[str, Field]:
    """Return every key of `execution`."""
    return {field.path: field for field in _fields_of(Execution, "")}
