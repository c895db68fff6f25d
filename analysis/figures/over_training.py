"""What the figures over training share: the clock, the axes, the footer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import style
from analysis.figures.provenance import Provenance
from analysis.select.points import Points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

X = "images_seen"


def finish(ax: Axes, rows: pd.DataFrame, metric: str, room: float = 1.22) -> None:
    """Set axes of a panel over training: from zero, room on the right for the names."""
    end = float(rows[X].max())
    ax.set_xlim(0, end * room)
    if rows[metric].min() >= 0:
        ax.set_ylim(0, float(rows[metric].max()) * 1.05)
    style.count_axis(ax.xaxis)
    ax.set_xlabel("Images seen")
    ax.set_ylabel(style.metric_label(metric))


def footer_of(points: Points, rows: pd.DataFrame) -> str:
    """Return the footer of a figure that draws `rows` of the points, counting those left out."""
    shown = rows["run_id"].nunique()
    others = [f"{points.shown - shown} of other models not drawn"] if shown < points.shown else []
    return replace(points, shown=shown, left_out=(*points.left_out, *others)).footer


def source_of(provenance: Provenance | None, rows: pd.DataFrame) -> str:
    """Return the line of provenance, made of the rows where none is given."""
    return (provenance or Provenance.of(rows)).text
