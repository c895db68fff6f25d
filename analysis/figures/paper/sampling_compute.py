"""Quality against sampling compute (the paper's figure 10)."""

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
    rows = rows_of(source, "figure10")
    points = final_points(rows, source.metric, mix=mix, keep=("steps",))
    is_alike = is_measured_as(source, published.FIG10_PROTOCOL)
    paper = published.sampling() if is_alike else None
    return sampling_compute(points, overlay=paper, provenance=provenance_of(source, rows))


def sampling_compute(
    points: Points, *, overlay: pd.DataFrame | None = None, provenance: Provenance | None = None
) -> Figure:
    """Return quality against sampling compute per image, one line per model over its steps.

    `overlay` holds the paper's lines, drawn thin and grey, where they were measured alike. Raises
    UserError where no run was sampled with two numbers of steps.
    """
    points = whole_lines(points, "steps")
    rows = points.frame
    if rows.groupby("run_id")["steps"].nunique().max() < 2:
        raise UserError(
            "sampling-compute: no run was sampled with two numbers of steps; write `steps: [10, "
            "50, 250]` in `evaluate:` and `ditlab run STUDY` (nothing is trained again)"
        )
    label = "Sampling compute per image (Gflops = 10⁹ MACs, log scale)"
    return compute_lines(
        points, "sampling_gmacs", label, provenance, "Sampling compute against quality", overlay
    )
