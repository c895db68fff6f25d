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
    """Return a table for reading: as many columns as fit `width` (None: all), the others named
    below it with `hint`.

    Columns in `keep` are shown at any width; those in `last` go first where width is wanting, its
    end before its start.
    """
    from rich.console import Console
    from rich.table import Table

    cells = [[short(value) for value in row.values()] for row in rows_of(table)]
    names = table.column_names
    wide = [
        min(WIDEST if width else 10**6, max([len(n), *(len(r[i]) for r in cells)]))
        for i, n in enumerate(names)
    ]
    ranked = [*keep, *(n for n in names if n not in (*keep, *last)), *last]
    shown = _fitting(wide, width, [names.index(n) for n in ranked if n in names], len(keep))
    view = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for i in shown:
        right = "right" if is_number(table.schema.field(i).type) else "left"
        view.add_column(
            names[i].replace("[", r"\["),
            justify=right,
            no_wrap=True,
            min_width=wide[i],
            max_width=wide[i],
        )
    for row in cells:
        view.add_row(*(row[i].replace("[", r"\[") for i in shown))
    out = io.StringIO()
    Console(
        file=out,
        width=sum(wide[i] + GAP for i in shown) + 1 or 1,
        highlight=False,
        color_system=None,
    ).print(view)
    left = [names[i] for i in range(len(names)) if i not in shown]
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    lines += [f"not shown, for want of width: {', '.join(left)} ({hint})"] if left else []
    return "\n".join(lines) + "\n"


def terminal_width() -> int | None:
    """Return the terminal's width, or None where standard output is no terminal: a file may be as
    wide as it likes.
    """
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitting(wide: list[int], width: int | None, ranked: list[int], kept: int) -> list[int]:
    """Return the columns that fit, as the table has them; the `kept` first of `ranked`, or its
    first, always do.
    """
    shown: list[int] = []
    used = 0
    for i in ranked:
        used += wide[i] + GAP
        if width is not None and len(shown) >= max(1, kept) and used > width:
            break
        shown.append(i)
    return sorted(shown)
