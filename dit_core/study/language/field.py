"""One field of the study language and its strict check."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dit_core.errors import nearest
from dit_core.study.language.annotations import describe, kinds_of, ordered
from dit_core.study.problems import show

# Words that other readers of YAML take for truth values.
TRUTHS = ("yes", "no", "on", "off", "true", "false", "y", "n")
STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Field:
    """One field of the study language.

    `path` is its key path, `owners` the variants of its section that have it.
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
        return frozenset(kinds_of(self.annotation))

    @cached_property
    def words_allowed(self) -> tuple[str, ...]:
        """Return the words of an enumeration, or nothing."""
        return tuple(kind for kind in ordered(self.annotation) if isinstance(kind, str))

    @cached_property
    def wants(self) -> str:
        """Return in words what a value must be: "a whole number > 0", "one of a, b"."""
        return self.words or describe(self.annotation)

    def check(self, value: Any) -> Any:
        """Return the value in the field's own type.

        Raises ValueError with what was given and what is allowed.
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
        if bool in self.kinds and value.lower() in TRUTHS:
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
