"""The kinds of claims: one model per kind.

A study states claims before it runs; `ditlab claims` judges them on its results. A new kind is a
model here, in `Claim`, and a file of its name with a function `judge` in `analysis/claims/kinds`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from dit_core.study.science.claim import (
    Bounded,
    Column,
    Columns,
    NumericColumn,
    Scalar,
    Selection,
    Statement,
    as_tuple,
    number_or_text,
    values_of,
)

Ranks = tuple[Scalar | tuple[Scalar, ...], ...]


class CorrelationClaim(Bounded):
    """The correlation of the metric with a column keeps a bound, or beats another column's."""

    kind: Literal["correlation"]
    """Kind of claim."""
    x: NumericColumn = "fwd_gmacs"
    """Column the metric is correlated with."""
    x_scale: Literal["log", "linear"] = "log"
    """Scale of `x` (the paper's -0.93 is log Gflops against linear FID)."""
    method: Literal["pearson", "spearman"] = "pearson"
    """Coefficient."""
    stronger_than: NumericColumn | None = None
    """Another column: |r| of `x` must exceed |r| of this one."""

    def is_judgeable(self) -> bool:
        """Return whether there is a bound or another column to compare with."""
        return super().is_judgeable() or self.stronger_than is not None


def _as_ranks(value: Any) -> Any:
    """Return the ranks of "a < b | c" or of a list, each a value or a tuple of values."""
    if isinstance(value, str):
        ranks = [[number_or_text(w.strip()) for w in part.split("|")] for part in value.split("<")]
        return tuple(rank[0] if len(rank) == 1 else tuple(rank) for rank in ranks)
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def _also_as_text(schema: dict[str, Any]) -> None:
    """Let the JSON schema of an order allow one string beside the list."""
    listed = {key: schema.pop(key) for key in ("type", "items", "minItems") if key in schema}
    schema["anyOf"] = [listed, {"type": "string"}]


class OrderClaim(Statement):
    """The metric ranks the values of one column, in every group that is otherwise alike."""

    kind: Literal["order"]
    """Kind of claim."""
    by: Column
    """Column whose values are ranked."""
    order: Annotated[Ranks, Field(json_schema_extra=_also_as_text)]
    """Ranks, smallest metric first: a list, or one string such as "adaln-zero < adaln | in-context"
    (| is one rank).
    """
    within: Columns = ()
    """Columns that must be equal between the values compared (`[model_size]`: in every size)."""

    @field_validator("order", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _as_ranks(value)

    @field_validator("order")
    @classmethod
    def _at_least_two(cls, value: Ranks) -> Ranks:
        members = [v for rank in value for v in (rank if isinstance(rank, tuple) else (rank,))]
        repeated = len(set(members)) != len(members)
        if len(value) < 2 or repeated or "" in members:
            raise ValueError(
                f"an order needs two or more ranks of different values, got {list(value)}"
            )
        return value

    @property
    def ranks(self) -> tuple[tuple[Scalar, ...], ...]:
        """The ranks, each a tuple of its values."""
        return tuple(rank if isinstance(rank, tuple) else (rank,) for rank in self.order)

    def selected(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the values of `where`, and those that are ranked."""
        yield from super().selected()
        for rank in self.ranks:
            yield from values_of("order", {self.by: rank})

    @property
    def one_case_refutes(self) -> bool:
        """Whether one pair in the wrong order refutes the claim."""
        return True


class RatioClaim(Bounded):
    """The metric of one selection divided by that of another."""

    kind: Literal["ratio"]
    """Kind of claim."""
    numerator: Selection
    """Rows of the numerator, on top of `where`."""
    denominator: Selection
    """Rows of the denominator, on top of `where`."""

    def selected(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the values of `where` and of both sides."""
        yield from super().selected()
        yield from values_of("numerator", self.numerator)
        yield from values_of("denominator", self.denominator)

    @property
    def one_case_refutes(self) -> bool:
        """Whether a ratio beyond its bound refutes the claim, though seeds are still to come."""
        return True


class ThresholdClaim(Bounded):
    """Every selected row keeps a bound, or equals a value within the tolerance."""

    kind: Literal["threshold"]
    """Kind of claim."""
    equals: float | None = None
    """The value itself, within `tolerance` (a published number to be reproduced)."""

    def is_judgeable(self) -> bool:
        """Return whether there is a bound or a value to compare with."""
        return super().is_judgeable() or self.equals is not None

    @model_validator(mode="after")
    def _equals_alone(self) -> ThresholdClaim:
        bounds = {"at_most": self.at_most, "at_least": self.at_least}
        given = [name for name, bound in bounds.items() if bound is not None]
        if self.equals is not None and given:
            raise ValueError(
                f"claim {self.id!r} gives equals besides {', '.join(given)}; give one of them"
            )
        return self

    @property
    def one_case_refutes(self) -> bool:
        """Whether one row beyond the bound refutes the claim."""
        return True


class TrendClaim(Statement):
    """The metric falls or rises along a column, in every group that is otherwise alike."""

    kind: Literal["trend"]
    """Kind of claim."""
    x: NumericColumn
    """Column along which the metric changes."""
    direction: Literal["falling", "rising"]
    """Direction of the metric as `x` grows."""
    within: Columns = ()
    """Columns that must be equal within one line."""

    @property
    def one_case_refutes(self) -> bool:
        """Whether one step back refutes the claim."""
        return True


class CrossingClaim(Bounded):
    """The line of `second` falls below that of `first` once, at an `x` within the bounds."""

    kind: Literal["crossing"]
    """Kind of claim."""
    x: NumericColumn = "train_flops"
    """Column along which the lines run (logarithmic)."""
    first: Selection
    """Rows of the line that is lower at small `x`, on top of `where`."""
    second: Selection
    """Rows of the line that is lower at large `x`, on top of `where`."""

    def is_judgeable(self) -> bool:
        """Return True: that the lines cross at all is a claim of its own."""
        return True

    def selected(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the values of `where` and of both lines."""
        yield from super().selected()
        yield from values_of("first", self.first)
        yield from values_of("second", self.second)


Claim = Annotated[
    CorrelationClaim | OrderClaim | RatioClaim | ThresholdClaim | TrendClaim | CrossingClaim,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Claim] = TypeAdapter(Claim)


def parse_claim(value: Any) -> Claim:
    """Return the claim that a mapping of plain values states.

    Raises pydantic.ValidationError naming each wrong field.
    """
    return _ADAPTER.validate_python(value)
