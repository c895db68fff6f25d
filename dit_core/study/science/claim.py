"""What all claims share: the columns they may name, the rows they select, and the bounds they set.

A claim says only *what* holds: of which rows, within which tolerance, under which conditions. The
kinds of claims are in `study/science/claim_kinds.py`; judging them is `analysis/claims`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from dit_core.errors import nearest
from dit_core.study.science.frozen import Frozen

Scalar = bool | int | float | str
OF_RUNS = ("loss", "loss_spikes")  # metrics that come from the training curve, not from samples
COUNTED = ("loss_spikes",)  # counts that are observed exactly: a verdict on them has no noise
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


def as_tuple(value: Any) -> Any:
    """Return a list as a tuple: YAML has lists only; the models hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _column(value: Any) -> Any:
    return _known(value, COLUMNS, "column") if isinstance(value, str) else value


def _numeric_column(value: Any) -> Any:
    return _known(value, NUMERIC, "numeric column") if isinstance(value, str) else value


def _columns(value: Any) -> Any:
    return tuple(map(_column, value)) if isinstance(value, list | tuple) else value


def _selection(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for key, item in value.items():
        _known(str(key), COLUMNS, "column")
        if item == []:
            raise ValueError(f"an empty list for {key}; give at least one value")
    return {key: as_tuple(item) for key, item in value.items()}


Selection = Annotated[
    dict[str, Scalar | tuple[Scalar | None, ...] | None], BeforeValidator(_selection)
]
Column = Annotated[str, BeforeValidator(_column)]
NumericColumn = Annotated[str, BeforeValidator(_numeric_column)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_columns)]


class Statement(Frozen):
    """What every claim has, whatever its kind."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Name of the claim within its study."""
    text: Annotated[str, Field(min_length=1, max_length=500)]
    """The statement as a reader would say it."""
    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """Column that is judged: a metric (`fid`, `fd_digits`), or `loss`, `loss_spikes` of runs."""
    where: Selection = Field(default_factory=dict)
    """Rows that count: column to value or list of values (null: rows without a value); the latest
    training point unless one is named."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Difference that counts as none, in units of what is judged; it never replaces the noise."""
    conditional: Annotated[str, Field(max_length=500)] = ""
    """What the statement depends on: data, recipe, sampler, source of the numbers."""
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Confidence level of the interval."""

    def selected(self) -> Iterator[tuple[str, str, Any]]:
        """Yield (key of the claim, column, value) for each value that the claim selects rows by."""
        yield from values_of("where", self.where)

    @property
    def one_case_refutes(self) -> bool:
        """Whether one counterexample refutes the claim, whatever results are still missing."""
        return False


def values_of(key: str, selection: Selection) -> Iterator[tuple[str, str, Any]]:
    """Yield (key, column, value) for every single value of a selection."""
    for column, values in selection.items():
        for value in values if isinstance(values, tuple) else (values,):
            yield key, column, value


class Bounded(Statement):
    """A claim that compares a number with bounds."""

    at_most: float | None = None
    """Upper bound of the judged number."""
    at_least: float | None = None
    """Lower bound of the judged number."""

    def is_judgeable(self) -> bool:
        """Return whether the claim gives anything that its number can be compared with."""
        return self.at_most is not None or self.at_least is not None

    @model_validator(mode="after")
    def _check_bounds(self) -> Bounded:
        if not self.is_judgeable():
            raise ValueError(f"claim {self.id!r} has no bound; give at_most or at_least")
        if self.at_most is None or self.at_least is None:
            return self
        if self.at_least > self.at_most:
            raise ValueError(
                f"claim {self.id!r}: at_least {self.at_least} is above at_most {self.at_most}"
            )
        return self


def number_or_text(word: str) -> Scalar:
    """Return the number that a word writes, or the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
