"""Looking a row of the catalogue up by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from dit_core.errors import UserError, nearest

Row = TypeVar("Row")


def row_of(rows: Mapping[str, Row], name: str, what: str) -> Row:
    """Return the row called `name`; raise UserError with the nearest name where there is none."""
    if name not in rows:
        raise UserError(
            f"unknown {what} {name!r}{nearest(name, rows)}; allowed are {', '.join(rows)}"
        )
    return rows[name]
