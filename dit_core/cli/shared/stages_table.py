"""`ditlab plan STUDY --stages N`: each Transformer split for pipeline-parallel inference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import typer

from dit_core.errors import UserError
from dit_core.study.price.stages import Stage, stages_of
from dit_core.study.science.run import Run
from dit_core.study.science.science import Model

_COLUMNS = (
    ("stage", 5),
    ("blocks", 8),
    ("Gmacs", 10),
    ("share", 8),
    ("params", 15),
    ("sends", 12),
    ("vector", 8),
    ("sequence", 10),
)


def stage_document(study: str, runs: Iterable[Run], count: int) -> dict[str, Any]:
    """Return the stages of every Transformer as plain values; raise UserError without any."""
    rows = [
        {"run_id": run.run_id, "name": run.name, "stages": [asdict(stage) for stage in stages]}
        for stages, members in _cut(runs, count).items()
        for run in members
    ]
    return {"study": study, "stages": count, "runs": rows}


def print_stages(runs: Iterable[Run], count: int) -> None:
    """Print one table per different split, under the names of its runs."""
    for stages, members in _cut(runs, count).items():
        names = ", ".join(run.name or "(base)" for run in members[:4])
        more = f" and {len(members) - 4} more" if len(members) > 4 else ""
        model = members[0].science.model
        assert isinstance(model, Model)  # `_cut` leaves others out
        typer.echo(f"{names}{more}: {model.size}/{model.patch}")
        for line in table(stages):
            typer.echo(line)
    typer.echo(
        "per sample; sends: bytes of tokens to the next stage; vector, sequence: floats of the "
        "condition"
    )


def table(stages: tuple[Stage, ...]) -> list[str]:
    """Return the lines of one table, at most 80 columns wide, its sums last."""
    digits = 2 if sum(s.macs for s in stages) >= 1e10 else 6
    macs = sum(s.macs for s in stages)
    params = sum(s.params for s in stages)
    rows = [tuple(name for name, _ in _COLUMNS)]
    for s in stages:
        span = f"{s.first}-{s.last}" if s.blocks > 1 else str(s.first)
        cells = (
            f"{s.macs / 1e9:.{digits}f}",
            f"{s.macs / macs:.1%}",
            f"{s.params:,}",
            f"{s.sent_bytes:,}",
        )
        rows.append(
            (str(s.number), span, *cells, str(s.condition_vector), str(s.condition_sequence))
        )
    blocks = str(sum(s.blocks for s in stages))
    rows.append(("all", blocks, f"{macs / 1e9:.{digits}f}", "100.0%", f"{params:,}", "", "", ""))
    widths = [width for _, width in _COLUMNS]
    return [
        "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cut(runs: Iterable[Run], count: int) -> dict[tuple[Stage, ...], list[Run]]:
    found: dict[tuple[Stage, ...], list[Run]] = {}
    for run in runs:
        if not isinstance(run.science.model, Model):
            continue
        try:
            found.setdefault(stages_of(run.science, count), []).append(run)
        except UserError as error:
            raise UserError(f"{error} (run {run.name!r})") from None
    if not found:
        raise UserError(
            "--stages: the study has no run of a Transformer, whose blocks could be split"
        )
    return found
