"""Quality against training compute (the paper's figure 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures.compute import compute_lines
from analysis.figures.provenance import Provenance
from analysis.figures.rows import is_measured_as, provenance_of, rows_of
from analysis.published import numbers as published
from analysis.select.points import Points, final_points, whole_lines
from analysis.select.source import Source
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure, with the paper's lines where the study was measured as the paper was."""
    rows = rows_of(source, "figure6", "figure9")
    points = final_points(rows, source.metric, mix=mix, every=True)
    paper = None
    if is_measured_as(source, published.PAPER_PROTOCOL):
        paper = published.curves()
        paper = paper[paper["conditioning"] == "adaln-zero"]
    return training_compute(points, overlay=paper, provenance=provenance_of(source, rows))


def training_compute(
    points: Points, *, overlay: pd.DataFrame | None = None, provenance: Provenance | None = None
) -> Figure:
    """Return quality against training compute, one line per model.

    `points.frame` holds many training points per run. `overlay` holds the paper's lines, drawn thin
    and grey, where they were measured alike. Raises UserError where no run was measured at two
    training points.
    """
    points = whole_lines(points, "images_seen")
    rows = points.frame
    if rows.groupby("run_id")["images_seen"].nunique().max() < 2:
        raise UserError(
            "training-compute: no run was measured at two training points; write `at: [25%, 50%, "
            "100%]` in `evaluate:` and `ditlab run STUDY` (trained runs keep their weights at new "
            "points only where a snapshot was kept)"
        )
    label = "Training compute (FLOP = 2 × 3 × MACs × images, log scale)"
    return compute_lines(
        points, "train_flops", label, provenance, "Training compute against quality", overlay
    )
