"""What the records of a study are made of: closed, frozen, strictly typed models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """A closed, immutable, strictly typed record: unknown keys and other types are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def neutral(value: Any) -> dict[str, Any]:
    """Mark a field as younger than id version 1.

    It is left out of the canonical form while it equals `value`.
    """
    return {"neutral": value}
