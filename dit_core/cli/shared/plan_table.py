"""The table of a plan, as `ditlab plan` and `ditlab submit` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dit_core.cli.shared.run_names import broken
from dit_core.study.grid.plan import Planned, run_row, summary_lines
from dit_core.study.price.prefixes import si

if TYPE_CHECKING:
    from rich.table import Table

_ID = 16  # hexadecimal digits
SHOWN = 40  # runs, unless --all asks for every one
_NUMBERS = {"params": 6, "tokens": 6, "MACs": 5, "FLOPs": 5, "memory": 6, "evals": 5}


def print_plan(planned: Planned, shown: int | None) -> None:
    """Print the plan as a table that fits the terminal, and its sums."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    heading = f"[bold]{escape(planned.study.name)}[/]  {escape(planned.study.question)}"
    console.print(heading, soft_wrap=False)
    rows = [run_row(run, state) for run, state in zip(planned.runs, planned.states, strict=True)]
    console.print(_table(rows[:shown], console.width))
    if shown is not None and len(rows) > shown:
        console.print(f"… and {len(rows) - shown:,} more runs (--all shows them)")
    for line in summary_lines(planned):
        console.print(line, soft_wrap=not console.is_terminal, markup=False)


def _table(rows: list[dict[str, Any]], width: int) -> Table:
    from rich.table import Table

    state = max([5, *(len(row["state"]) for row in rows)])
    others = _ID + sum(_NUMBERS.values()) + state + len(_NUMBERS) + 2
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("run", overflow="fold", ratio=1)
    table.add_column("id", no_wrap=True, min_width=_ID)
    for title, least in _NUMBERS.items():
        table.add_column(title, justify="right", no_wrap=True, min_width=least)
    table.add_column("state", no_wrap=True, min_width=5)
    for row in rows:
        table.add_row(*_cells(row, width - others))
    return table


def _cells(row: dict[str, Any], width: int) -> list[str]:
    return [
        broken(row["name"] or "(base)", width),
        row["run_id"],
        si(row["params"]),
        "-" if row["tokens"] is None else str(row["tokens"]),
        si(row["fwd_gmacs"] * 1e9),
        si(row["train_flops"]),
        si(row["memory_bytes"]),
        f"{row['evaluated']}/{row['evaluations']}",
        row["state"],
    ]
