"""Samples with guidance (the paper's figure 11), from the grids beside the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.paper.sample_grid import grids_of, no_pictures, pictured, sample_grid
from analysis.figures.rows import provenance_of
from analysis.select.points import final_points
from analysis.select.source import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(source: Source, mix: bool) -> Figure:
    """Return the guided samples by patch, or by guidance where there are several scales of it."""
    rows = pictured("guided-samples", source)
    rows = rows[rows["guidance"].notna() & (rows["guidance"] != 1.0)]
    if rows.empty:
        raise no_pictures("guided-samples", "`guidance: [1.5]`", source)
    column = "guidance" if rows["guidance"].nunique() > 1 else "patch"
    points = final_points(rows, source.metric, keep=("guidance",) if column == "guidance" else ())
    return sample_grid(
        grids_of(points.frame, source.pictures, column),
        title="Guided samples",
        footer=points.footer,
        columns=column,
        rows="model size" if column == "patch" else "model",
        provenance=provenance_of(source, points.frame),
    )
