"""`--where COLUMN=VALUE`: the rows a command is about."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dit_core.errors import UserError
from dit_core.study.science.claim import number_or_text

WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="COLUMN=VALUE[,VALUE]: only these rows.")
]


def conditions(where: list[str] | None) -> dict[str, Any]:
    """Return the words of `--where` as a selection: column to values, numbers as numbers.

    Raises UserError for a word of another form.
    """
    chosen: dict[str, Any] = {}
    for word in where or []:
        column, equals, values = word.partition("=")
        if not equals or not column or not values:
            raise UserError(f"--where {word!r}: write COLUMN=VALUE or COLUMN=VALUE,VALUE")
        chosen[column.strip()] = [number_or_text(v.strip()) for v in values.split(",")]
    return chosen
