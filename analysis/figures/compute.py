"""Quality against compute spent: on training (the paper's figure 9) and on sampling (figure 10)."""

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
from analysis.select.points import Points, whole_lines
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_compute(
    points: Points, *, overlay: pd.DataFrame | None = None, provenance: Provenance | None = None
) -> Figure:
    """Return quality against training compute, one line per model; `points.frame` holds many
    training points per run.

    `overlay` holds the paper's lines, drawn thin and grey, where they were measured alike.

    Raises UserError where no run was measured at two training points.
    """
    points = whole_lines(points, "images_seen")
    rows = points.frame
    if rows.groupby("run_id")["images_seen"].nunique().max() < 2:
        raise UserError(
            "training-compute: no run was measured at two training points; write `at: [25%, 50%, "
            "100%]` "
            "in `evaluate:` and `ditlab run STUDY` (trained runs keep their weights at new points "
            "only "
            "where a snapshot was kept)"
        )
    label = "Training compute (FLOP = 2 × 3 × MACs × images, log scale)"
    return _lines(
        points, "train_flops", label, provenance, "Training compute against quality", overlay
    )


def sampling_compute(
    points: Points, *, overlay: pd.DataFrame | None = None, provenance: Provenance | None = None
) -> Figure:
    """Return quality against sampling compute per image, one line per model over its numbers of
    sampling steps.

    `overlay` as in `training_compute`.

    Raises UserError where no run was sampled with two numbers of steps.
    """
    points = whole_lines(points, "steps")
    rows = points.frame
    if rows.groupby("run_id")["steps"].nunique().max() < 2:
        raise UserError(
            "sampling-compute: no run was sampled with two numbers of steps; write `steps: [10, "
            "50, 250]` "
            "in `evaluate:` and `ditlab run STUDY` (nothing is trained again)"
        )
    label = "Sampling compute per image (Gflops = 10⁹ MACs, log scale)"
    return _lines(
        points, "sampling_gmacs", label, provenance, "Sampling compute against quality", overlay
    )


def _lines(
    points: Points,
    x: str,
    label: str,
    provenance: Provenance | None,
    title: str,
    overlay: pd.DataFrame | None,
) -> Figure:
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
