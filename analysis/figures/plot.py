"""Any column against any other, drawn as the figures are: footer, intervals, stable bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.curves import LEGEND_ENTRIES, LEGEND_ROW_IN, Look, legend
from analysis.figures.paper.gmacs_quality import whiskers
from analysis.figures.plot_rows import Plot, Plotted, plotted
from analysis.figures.rows import provenance_of
from analysis.select.source import Source
from analysis.tables.columns import units
from analysis.tables.order import rank
from dit_core.errors import UserError
from dit_core.study.catalogue.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = 12
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_PER_ROW = 3


def draw_plot(source: Source, plot: Plot, mix: bool = False) -> tuple[Figure, Plotted]:
    """Return the figure and what it shows; raises UserError as `plotted` does."""
    found = plotted(source, plot, mix)
    rows = found.rows
    panels = sorted(rows["panel"].unique(), key=_panel_order(rows, found.plot))
    if len(panels) > _PANELS:
        raise UserError(
            f"--facet {found.plot.facet}: {len(panels)} values, {_PANELS} panels are the most; "
            "choose some with --where"
        )
    looks = _looks(rows)
    fig, axes = _axes(len(panels), len(looks))
    ticks = _categories(rows[found.plot.x])
    for ax, panel in zip(axes.flat, panels, strict=False):
        _panel(ax, rows[rows["panel"] == panel], found, looks, ticks)
        ax.set_title(style.clean(panel, 40) if panel else "")
    _scales(axes.flat[0], found, ticks)
    for ax in list(axes.flat)[len(panels) :]:
        ax.axis("off")
    _name_axes(fig, axes, found, len(panels))
    if len(looks) > 1:
        last = axes[0][-1]
        legend(last, looks.values(), loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=2.6)
    style.footer(fig, [found.footer, whiskers(rows), provenance_of(source, rows).text])
    return fig, found


def _axes(panels: int, series: int) -> tuple[Figure, Any]:
    columns = min(panels, _PER_ROW)
    lines = -(-panels // columns)
    entries = min(series, LEGEND_ENTRIES + 1)
    height = max(1.2 + 2.6 * lines, 1.2 + LEGEND_ROW_IN * entries)
    return style.new_figure(
        columns,
        lines,
        width=min(11.0, 3.2 + 2.6 * columns),
        height=height,
        sharex=True,
        sharey=True,
        squeeze=False,
    )


def _panel_order(rows: pd.DataFrame, plot: Plot) -> Any:
    if plot.facet is None:
        return str
    values = dict(zip(rows["panel"], rows[plot.facet], strict=True))
    return lambda word: rank(values[word])


def _looks(rows: pd.DataFrame) -> dict[str, Look]:
    """Return one look per series: colour, dashes and marker all differ, for a grey print."""
    order = sorted(rows["series"].unique(), key=lambda word: [rank(w) for w in word.split(", ")])
    colours = style.shades(order)
    return {
        word: Look(word, colours[word], _DASHES[i % len(_DASHES)], _MARKERS[i % len(_MARKERS)])
        for i, word in enumerate(order)
    }


def _categories(values: pd.Series) -> list[Any] | None:
    """Return the values of an axis of words in their order, None for an axis of numbers."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return None
    return sorted(values.unique(), key=rank)


def _panel(
    ax: Axes,
    rows: pd.DataFrame,
    found: Plotted,
    looks: dict[str, Look],
    ticks: list[Any] | None,
) -> None:
    x = found.plot.x
    place = rows[x].map(ticks.index) if ticks else rows[x].astype(float)
    for (word, _), line in rows.assign(_x=place).groupby(["series", "line"], sort=False):
        look = looks[word]
        line = line.sort_values("_x", kind="stable")
        low = line["low"].astype(float)
        high = line["high"].astype(float)
        known = high > low
        ax.vlines(line["_x"][known], low[known], high[known], color=look.colour, lw=0.9, alpha=0.7)
        ax.plot(
            line["_x"],
            line[found.plot.y],
            color=look.colour,
            ls=look.dashes if found.is_joined else "",
            marker=look.marker,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            lw=1.4,
        )


def _scales(ax: Axes, found: Plotted, ticks: list[Any] | None) -> None:
    """Set the axes that all panels share."""
    plot = found.plot
    rows = found.rows
    ends = np.concatenate([rows[c].dropna().astype(float) for c in (plot.y, "low", "high")])
    if "y" in plot.log:
        _positive(rows[plot.y], plot.y)
        style.log_axis(ax.yaxis, ends)
    if ticks:
        if "x" in plot.log:
            raise UserError(f"--log x: {plot.x} holds words")
        ax.set_xticks(range(len(ticks)), [style.clean(t, 16) for t in ticks])
        ax.set_xlim(-0.5, len(ticks) - 0.5)
    elif "x" in plot.log:
        _positive(rows[plot.x], plot.x)
        style.log_axis(ax.xaxis, rows[plot.x].astype(float))
    elif rows[plot.x].max() >= 1e5:
        style.count_axis(ax.xaxis)


def _positive(values: pd.Series, column: str) -> None:
    if values.min() <= 0:
        raise UserError(
            f"--log: {column} has values of zero or below ({values.min():g}), which a log axis "
            "cannot show; leave them out with --where, or draw it linear"
        )


def _name_axes(fig: Figure, axes: Any, found: Plotted, panels: int) -> None:
    for row in axes:
        row[0].set_ylabel(_label(found.plot.y))
    for index, ax in enumerate(axes.flat):
        if index + axes.shape[1] >= panels and index < panels:
            ax.set_xlabel(_label(found.plot.x))
            ax.tick_params(labelbottom=True)


def _label(column: str) -> str:
    if column in METRICS:
        return style.metric_label(column)
    unit = units([column]).get(column)
    return style.clean(f"{column} ({unit})" if unit else column, 60)
