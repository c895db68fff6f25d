"""Claims: statements about results that a study makes beforehand and `ditlab claims` judges with
intervals.

Six kinds, told apart by `kind`. A claim only says *what* is held to be true, of which rows, within
which tolerance and under which conditions; how it is judged is `analysis/claims/judge.py`. Names of
columns are those of the tables `runs` and `evals` (design: `ditlab query --table runs|evals`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, field_validator, model_validator

from dit_core.errors import nearest
from dit_core.study.science.science import Frozen

Scalar = bool | int | float | str
OF_RUNS = ("loss", "loss_spikes")  # metrics that come from the training curve, not from samples
# What a row may be selected by: columns of the tables of runs and of evaluations.
COLUMNS: tuple[str, ...] = (
    "run_id",
    "name",
    "model",
    "model_family",
    "model_size",
    "model_depth",
    "model_hidden",
    "model_channels",
    "model_positions",
    "model_layer_scale",
    "patch",
    "conditioning",
    "objective",
    "seed",
    "params",
    "tokens",
    "fwd_gmacs",
    "train_flops",
    "sampling_gmacs",
    "images_seen",
    "sampler",
    "steps",
    "guidance",
    "protocol",
    "samples",
    "weights",
    "outcome",
    "table",
    "data_name",
    "model_tokens",
    "model_map_entry",
)
NUMERIC: tuple[str, ...] = (
    "params",
    "tokens",
    "fwd_gmacs",
    "train_flops",
    "sampling_gmacs",
    "images_seen",
    "steps",
    "guidance",
    "patch",
    "samples",
    "model_depth",
    "model_hidden",
)


def _known(name: str, allowed: tuple[str, ...], what: str) -> str:
    if name not in allowed:
        raise ValueError(
            f"unknown {what} {name!r}{nearest(name, allowed)}; allowed are {', '.join(allowed)}"
        )
    return name


def _as_tuple(value: Any) -> Any:
    """YAML has lists only; the models hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _selection(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for key, item in value.items():
        _known(str(key), COLUMNS, "column")
        if item == []:
            raise ValueError(f"an empty list for {key}; give at least one value")
    return {key: _as_tuple(item) for key, item in value.items()}


Selection = Annotated[
    dict[str, Scalar | tuple[Scalar | None, ...] | None], BeforeValidator(_selection)
]
Numeric = Annotated[
    str,
    BeforeValidator(lambda v: _known(v, NUMERIC, "numeric column") if isinstance(v, str) else v),
]
Columns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class _Statement(Frozen):
    """What all claims share."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Name of the claim within its study."""
    text: Annotated[str, Field(min_length=1, max_length=500)]
    """The statement in words, as a reader would say it."""
    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """Column that is judged: a metric of the evaluations (`fid`, `fd_digits`), or `loss`,
    `loss_spikes` of the runs.
    """
    where: Selection = Field(default_factory=dict)
    """Rows that count: column to value or to a list of values (null: rows that have none); the
    latest training point where none is named."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Difference that counts as none, in units of what is judged (the noise floor where no seeds
    tell it).
    """
    conditional: Annotated[str, Field(max_length=500)] = ""
    """What the statement is conditional on: data, recipe, sampler, source of the numbers."""
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Confidence level of the interval."""


class _Bounded(_Statement):
    """A claim that sets a number against a bound."""

    needs_bound: ClassVar[bool] = True

    at_most: float | None = None
    """Upper bound of the judged number."""
    at_least: float | None = None
    """Lower bound of the judged number."""

    @model_validator(mode="after")
    def _a_bound(self) -> _Bounded:
        given = [n for n in ("at_most", "at_least", "equals") if getattr(self, n, None) is not None]
        if not given and self.needs_bound and getattr(self, "stronger_than", None) is None:
            raise ValueError(f"claim {self.id!r} has no bound; give at_most or at_least")
        if "equals" in given and len(given) > 1:
            raise ValueError(
                f"claim {self.id!r} gives equals besides {', '.join(given[:-1])}; give one of them"
            )
        if (
            len(given) == 2
            and self.at_least is not None
            and self.at_most is not None
            and self.at_least > self.at_most
        ):
            raise ValueError(
                f"claim {self.id!r}: at_least {self.at_least} is above at_most {self.at_most}"
            )
        return self


class CorrelationClaim(_Bounded):
    """The metric goes with a column: correlation coefficient against a bound, or against another
    column's.
    """

    kind: Literal["correlation"]
    """Kind of claim."""
    x: Numeric = "fwd_gmacs"
    """Column the metric is correlated with."""
    x_scale: Literal["log", "linear"] = "log"
    """Scale of `x` (the paper's -0.93 is log Gflops against linear FID)."""
    method: Literal["pearson", "spearman"] = "pearson"
    """Coefficient."""
    stronger_than: Numeric | None = None
    """Another column: |r| of `x` must exceed |r| of this one."""


class OrderClaim(_Statement):
    """The metric puts the values of one column in an order, in every group that is otherwise
    alike.
    """

    kind: Literal["order"]
    """Kind of claim."""
    by: Annotated[
        str, BeforeValidator(lambda v: _known(v, COLUMNS, "column") if isinstance(v, str) else v)
    ]
    """Column whose values are ordered."""
    order: tuple[Scalar | tuple[Scalar, ...], ...]
    """Ranks, smallest metric first: a list, or one string such as "adaln-zero < adaln | in-context"
    (| is one rank).
    """
    within: Columns = ()
    """Columns that must be equal between the values compared (`[model_size]`: in every size)."""

    @field_validator("order", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            ranks = [
                [number_or_text(w.strip()) for w in part.split("|")] for part in value.split("<")
            ]
            value = [rank[0] if len(rank) == 1 else tuple(rank) for rank in ranks]
        return tuple(map(_as_tuple, value)) if isinstance(value, list) else value

    @field_validator("order")
    @classmethod
    def _at_least_two(
        cls, value: tuple[Scalar | tuple[Scalar, ...], ...]
    ) -> tuple[Scalar | tuple[Scalar, ...], ...]:
        members = [v for rank in value for v in (rank if isinstance(rank, tuple) else (rank,))]
        if len(value) < 2 or len(set(members)) != len(members) or "" in members:
            raise ValueError(
                f"an order needs two or more ranks of different values, got {list(value)}"
            )
        return value

    @property
    def ranks(self) -> tuple[tuple[Scalar, ...], ...]:
        """Return the ranks, each a tuple of its values."""
        return tuple(rank if isinstance(rank, tuple) else (rank,) for rank in self.order)

    @field_validator("within")
    @classmethod
    def _columns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known(v, COLUMNS, "column") for v in value)


class RatioClaim(_Bounded):
    """The metric of one selection divided by that of another."""

    kind: Literal["ratio"]
    """Kind of claim."""
    numerator: Selection
    """Rows above the line, on top of `where`."""
    denominator: Selection
    """Rows below the line, on top of `where`."""


class ThresholdClaim(_Bounded):
    """Every selected row keeps a bound, or equals a value within the tolerance."""

    kind: Literal["threshold"]
    """Kind of claim."""
    equals: float | None = None
    """The value itself, held to `tolerance` (a published number to be reproduced)."""


class TrendClaim(_Statement):
    """The metric falls or rises along a column, in every group that is otherwise alike."""

    kind: Literal["trend"]
    """Kind of claim."""
    x: Numeric
    """Column along which."""
    direction: Literal["falling", "rising"]
    """Direction of the metric as `x` grows."""
    within: Columns = ()
    """Columns that must be equal within one line."""

    @field_validator("within")
    @classmethod
    def _columns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known(v, COLUMNS, "column") for v in value)


class CrossingClaim(_Bounded):
    """The line of `second` falls below that of `first` once, at an `x` within the bounds."""

    needs_bound: ClassVar[bool] = False  # that the lines cross at all is a claim of its own

    kind: Literal["crossing"]
    """Kind of claim."""
    x: Numeric = "train_flops"
    """Column along which the lines run (logarithmic)."""
    first: Selection
    """Rows of the line that is lower at small `x`, on top of `where`."""
    second: Selection
    """Rows of the line that is lower at large `x`, on top of `where`."""


Claim = Annotated[
    CorrelationClaim | OrderClaim | RatioClaim | ThresholdClaim | TrendClaim | CrossingClaim,
    Field(discriminator="kind"),
]
KINDS: tuple[str, ...] = ("correlation", "order", "ratio", "threshold", "trend", "crossing")
_ADAPTER: TypeAdapter[Claim] = TypeAdapter(Claim)


def parse_claim(value: Any) -> Claim:
    """Return the claim a mapping of plain values states; raise pydantic.ValidationError naming each
    wrong field.
    """
    return _ADAPTER.validate_python(value)


def number_or_text(word: str) -> Scalar:
    """Return the number that a word writes, or the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
