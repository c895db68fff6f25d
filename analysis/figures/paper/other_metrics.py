"""Other metrics against forward compute (the paper's figure 12), one panel each with its r."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.paper.gmacs_quality import label_models, scatter, whiskers
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of, rows_of
from analysis.laws.correlation import SEED, correlate
from analysis.select.configuration import config_key
from analysis.select.points import Points, average_seeds, final_points
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.catalogue.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What the paper prints of its figure 12, as quoted again in results/published/facts.md.
PRINTED_R = {"sfid": -0.86, "is": 0.90, "precision": 0.93, "recall": 0.86}


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of a study, or of replications of the paper's models by others."""
    rows = rows_of(source, "third_party_replication")
    provenance = provenance_of(source, rows)
    if not source.is_published:
        return other_metrics(rows, source.metric, mix=mix, provenance=provenance)
    return other_metrics(
        rows,
        source.metric,
        mix=mix,
        remark="Values: replications in the U-DiT paper; the DiT paper prints none.",
        provenance=provenance,
        printed=PRINTED_R,
    )


def other_metrics(
    frame: pd.DataFrame,
    metric: str,
    *,
    remark: str = "",
    printed: dict[str, float] | None = None,
    provenance: Provenance | None = None,
    mix: bool = False,
) -> Figure:
    """Return one panel per metric besides `metric`, against log Gmacs, with r and its interval.

    `printed` gives correlations that a paper prints, shown beside ours. Raises UserError where
    there is no such metric.
    """
    panels = [name for name, row in METRICS.items() if row.panel]
    found = [m for m in panels if m != metric and m in frame and frame[m].notna().any()][:6]
    if not found:
        raise UserError(
            f"other-metrics: the records hold no metric besides {metric!r}; a protocol that "
            "measures more "
            "(docs/evaluation.md lists them) under `evaluate:` would make them"
        )
    columns = min(2, len(found))
    rows_n = -(-len(found) // columns)
    fig, axes = style.new_figure(
        columns, rows_n, width=6.6, height=0.6 + 2.3 * rows_n, squeeze=False
    )
    shown = [final_points(frame, name, mix=mix) for name in found]
    for ax, points in zip(axes.flat, shown, strict=False):
        _panel(ax, points, (printed or {}).get(points.metric))
    for ax in list(axes.flat)[len(found) :]:
        ax.axis("off")
    notes = list(dict.fromkeys(points.footer for points in shown))
    notes += dict.fromkeys(whiskers(average_seeds(points.frame, points.metric)) for points in shown)
    style.footer(fig, [*notes, remark, (provenance or Provenance.of(frame)).text])
    for ax, points in zip(axes.flat, shown, strict=False):
        label_models(ax, average_seeds(points.frame, points.metric), points.metric, 6.5)
    return fig


def _panel(ax: Axes, points: Points, printed: float | None) -> None:
    metric = points.metric
    rows = average_seeds(points.frame, metric)
    style.log_axis(ax.xaxis, rows["fwd_gmacs"])
    scatter(ax, rows, "fwd_gmacs", metric, size=26)
    low, high = (
        float(rows[[metric, end]].astype(float).agg(end_of).agg(end_of))
        for end, end_of in (("low", "min"), ("high", "max"))
    )
    room = (high - low) * 0.45 or 1.0
    lower = metric not in METRICS or METRICS[metric].better == "lower"
    ax.set_ylim(low - (0.2 * room if lower else 0.25 * room), high + room)
    found = correlate(
        np.log10(points.frame["fwd_gmacs"].astype(float)),
        points.frame[metric].astype(float),
        np.random.default_rng(SEED),
        groups=config_key(points.frame).to_numpy(str),
    )
    words = (
        found.words()
        .replace(f", {found.level * 100:g} % interval ", " [")
        .replace(", n =", "], n =")
    )
    words = words if "[" in words else words.replace("], n", ", n")
    if printed is not None:
        words += f"\nthe paper prints {printed:+.2f}".replace("-", "\N{MINUS SIGN}")
    style.note(ax, words, "upper right" if lower else "upper left")
    ax.set_xlabel("Forward Gflops (MACs, log scale)")
    ax.set_ylabel(textwrap.fill(style.metric_label(metric).replace(" is better", ""), 24))
