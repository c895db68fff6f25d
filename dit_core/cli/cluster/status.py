"""`ditlab status STUDY`: the state of every run, from its records first, then the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from rich.console import Group

_SHOWN = 40
_COLOURS = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "torn": "red",
    "lost": "yellow",
    "diverged": "magenta",
}


def status(
    study: StudyArgument,
    words: RunsArgument = None,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show every run, not the first {_SHOWN}.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the state of every run, what was used and what is left.

    Works without Slurm, from the records alone.
    """
    from slurm.standing.gather import look
    from slurm.submission.overview import overview

    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    seen = overview(store, name, runs, look(store, name, runs))
    if as_json:
        print_json(seen)
        return
    from rich.console import Console

    Console(highlight=False).print(rendered(seen, None if show_all else _SHOWN))


def rendered(seen: dict[str, Any], shown: int | None) -> Group:
    """Return an overview as a table and its sums, runs that need attention first."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from slurm.submission.overview import headline

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title, options in (
        ("state", {"no_wrap": True}),
        ("run", {"overflow": "fold", "ratio": 2}),
        ("id", {"no_wrap": True, "min_width": 16}),
        ("trained", {"justify": "right", "no_wrap": True}),
        ("evals", {"justify": "right", "no_wrap": True}),
        ("why", {"overflow": "fold", "ratio": 3}),
    ):
        table.add_column(title, **options)
    order = (
        "failed",
        "torn",
        "unknown",
        "lost",
        "stopped",
        "running",
        "waiting",
        "new",
        "cancelled",
        "trained",
        "diverged",
        "done",
    )
    rows = sorted(seen["runs"], key=lambda row: order.index(row["state"]))
    for row in rows[:shown]:
        colour = _COLOURS.get(row["state"])
        word = f"[{colour}]{row['state']}[/]" if colour else row["state"]
        share = f"{100 * (row['images_seen'] or 0) / row['images']:.0f}%"
        failed = f" ({row['evaluations_failed']} failed)" if row["evaluations_failed"] else ""
        evals = f"{row['evaluated']}/{row['evaluations']}{failed}"
        table.add_row(
            word, escape(row["name"] or "(base)"), row["run_id"], share, evals, escape(row["why"])
        )
    lines = (
        [f"… and {len(rows) - shown:,} more runs (--all shows them)"]
        if shown and len(rows) > shown
        else []
    )
    return Group(table, *(Text(line) for line in [*lines, *headline(seen)]))
