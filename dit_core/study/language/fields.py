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
    """Return every science path a study may set.

    These are the models' fields, and the short forms `size` and `duration`.
    """
    table: dict[str, Field] = {}
    for section, kinds in sections().items():
        key = kinds.key
        variants = kinds.variants
        for owner, model in variants.items():
            for field in _fields_of(model, f"{section}.", owner):
                before = table.get(field.path)
                if field.path == f"{section}.{key}":
                    field = replace(field, annotation=Literal[tuple(variants)], owners=())
                    field = before or field
                elif before:
                    field = replace(before, owners=(*before.owners, owner))
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
    """Return every key of an evaluation block except `where`.

    A list of values is an evaluation axis.
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
    table["protocol"] = replace(table["protocol"], annotation=Literal[tuple(PROTOCOLS)])
    return table


@lru_cache(maxsize=1)
def execution_fields() -> dict[str, Field]:
    """Return every key of `execution`."""
    return {field.path: field for field in _fields_of(Execution, "")}
