"""Lines of quality against compute, which training (figure 9) and sampling (figure 10) share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import style
from analysis.figures.curves import (
    LEGEND_ENTRIES,
    LEGEND_ROW_IN,
    draw_lines,
    legend,
    mean_lines,
    model_looks,
)
from analysis.figures.provenance import Provenance
from analysis.select.configuration import config_names
from analysis.select.points import Points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute_lines(
    points: Points,
    x: str,
    label: str,
    provenance: Provenance | None,
    title: str,
    overlay: pd.DataFrame | None,
) -> Figure:
    """Return quality against one column of compute, one line per model.

    `overlay` holds other lines of the same columns, drawn thin and grey.
    """
    rows = points.frame
    metric = points.metric
    looks = model_looks(rows)
    lines = mean_lines(rows, x, metric, config_names(rows))
    lines = {name: lines[name] for name in looks if name in lines}
    columns = 1 if len(lines) <= 16 else 2
    entries = min(len(lines), LEGEND_ENTRIES + 1) / columns
    fig, ax = style.new_figure(width=6.4, height=max(4.2, 1.2 + LEGEND_ROW_IN * entries))
    every = rows if overlay is None else pd.concat([rows, overlay], ignore_index=True)
    style.log_axis(ax.xaxis, every[x])
    if _wide(every[metric]):
        style.log_axis(ax.yaxis, every[metric])
    else:
        ax.set_ylim(0, float(every[metric].max()) * 1.05)
    said = []
    if overlay is not None:
        for line in mean_lines(overlay, x, metric, config_names(overlay)).values():
            ax.plot(line[x], line[metric], color=style.QUIET, lw=0.7, alpha=0.7, zorder=1)
        said = ["Thin grey lines: the paper's, read off its figure, measured alike."]
    draw_lines(ax, lines, looks, x, metric)
    ax.set_xlabel(label)
    ax.set_ylabel(style.metric_label(metric))
    ax.set_title(title)
    legend(
        ax,
        [looks[n] for n in lines],
        title="size/patch",
        ncols=columns,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        handlelength=2.6,
    )
    style.footer(fig, [points.footer, *said, (provenance or Provenance.of(rows)).text])
    return fig


def _wide(values: pd.Series) -> bool:
    return bool(values.min() > 0 and values.max() / values.min() > 8)
