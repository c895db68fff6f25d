"""A result as a table that fits the terminal."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence

import pyarrow as pa

from analysis.write.formats import is_number, rows_of, short

GAP = 2
WIDEST = 40


def fitted(
    table: pa.Table,
    width: int | None = None,
    *,
    keep: Sequence[str] = (),
    last: Sequence[str] = (),
    hint: str = "--columns chooses",
) -> str:
    """Return a table as text with the columns that fit `width`; the others are named below it.

    A `width` of None shows all columns. `hint` says how to choose.

    Columns in `keep` are shown at any width; those in `last` go first where width is wanting, its
    end before its start.
    """
    cells = [[short(value) for value in row.values()] for row in rows_of(table)]
    names = table.column_names
    widest = WIDEST if width else 10**6
    wide = [min(widest, max(len(n), *(len(r[i]) for r in cells), 0)) for i, n in enumerate(names)]
    ranked = [*keep, *(n for n in names if n not in (*keep, *last)), *last]
    shown = _fitting(wide, width, [names.index(n) for n in ranked if n in names], len(keep))
    lines = _drawn(table, cells, wide, shown)
    left = [name for i, name in enumerate(names) if i not in shown]
    if left:
        lines.append(f"not shown, the terminal is too narrow: {', '.join(left)} ({hint})")
    return "\n".join(lines) + "\n"


def _drawn(table: pa.Table, cells: list[list[str]], wide: list[int], shown: list[int]) -> list[str]:
    """Return the lines of the columns `shown`, each `wide` characters."""
    from rich.console import Console
    from rich.table import Table

    view = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for i in shown:
        field = table.schema.field(i)
        view.add_column(
            _literal(field.name),
            justify="right" if is_number(field.type) else "left",
            no_wrap=True,
            min_width=wide[i],
            max_width=wide[i],
        )
    for row in cells:
        view.add_row(*(_literal(row[i]) for i in shown))
    out = io.StringIO()
    width = sum(wide[i] + GAP for i in shown) + 1
    Console(file=out, width=width, highlight=False, color_system=None).print(view)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _literal(text: str) -> str:
    """Return a text that rich prints as it is: a bracket would start its markup."""
    return text.replace("[", r"\[")


def terminal_width() -> int | None:
    """Return the terminal's width, or None where standard output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitting(wide: list[int], width: int | None, ranked: list[int], kept: int) -> list[int]:
    """Return the columns that fit, in the table's order; the first `kept` always do."""
    shown: list[int] = []
    used = 0
    for i in ranked:
        used += wide[i] + GAP
        if width is not None and len(shown) >= max(1, kept) and used > width:
            break
        shown.append(i)
    return sorted(shown)
