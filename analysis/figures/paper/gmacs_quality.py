"""Forward Gflops against quality (the paper's figure 8), also the paper's beside a study's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.labels import label_points
from analysis.figures.provenance import Provenance
from analysis.figures.rows import is_measured_as, provenance_of, rows_of
from analysis.laws.correlation import SEED, Correlation, correlate
from analysis.laws.line import Line, ols
from analysis.published import numbers as published
from analysis.select.configuration import config_key, config_names
from analysis.select.points import Points, average_seeds, final_points
from analysis.select.source import Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of the paper, or of a study with the paper's models beside or behind it."""
    rows = rows_of(source, "paper_scaling12")
    is_alike = is_measured_as(source, published.PAPER_PROTOCOL)
    return gmacs_quality(
        rows,
        source.metric,
        title="The paper's twelve models" if source.is_published else source.title,
        mix=mix,
        beside_paper=not source.is_published and not is_alike,
        overlay=published.scaling() if is_alike else None,
        provenance=provenance_of(source, rows),
    )


def gmacs_quality(
    frame: pd.DataFrame,
    metric: str = "fd_digits",
    *,
    beside_paper: bool = True,
    provenance: Provenance | None = None,
    title: str = "These runs",
    mix: bool = False,
    overlay: pd.DataFrame | None = None,
) -> Figure:
    """Return log Gmacs against `metric` with line and correlation, the paper's beside it.

    `overlay` (columns fwd_gmacs, fid) is drawn hollow in the same panel: the paper's points, where
    `frame` was measured by the paper's protocol.

    `frame` holds one row per evaluation with the run's columns (`analysis.select.join.join(runs,
    evals)`). Raises UserError where no row has the metric or where two protocols would share the
    axis.
    """
    mine = final_points(frame, metric, mix=mix)
    fig, axes = style.new_figure(
        2 if beside_paper else 1, width=style.WIDTH_IN if beside_paper else 4.4, height=3.7
    )
    shown = [(np.atleast_1d(axes)[0], mine, style.clean(title, 60))]
    lines = [mine.footer if not beside_paper else f"{style.clean(title, 60)}: {mine.footer}"]
    if beside_paper:
        paper = final_points(published.scaling(), "fid")
        shown.append((axes[1], paper, "The paper: ImageNet 256 px"))
        lines.append(
            f"Paper: Table 4, 400K steps, {paper.n_of_n}, FID-50K; its figure 8 prints "
            f"{published.PAPER_R}."
        )
    for ax, points, words in shown:
        panel(ax, points)
        ax.set_title(words)
    if overlay is not None:
        _overlay(shown[0][0], overlay, metric)
        lines.append("Hollow: the paper's Table 4, measured alike; not part of the statistics.")
    lines.append(whiskers(average_seeds(mine.frame, metric)))
    style.footer(fig, [*lines, (provenance or Provenance.of(frame)).text])
    for ax, points, _ in shown:
        label_models(ax, average_seeds(points.frame, points.metric), points.metric)
    return fig


def label_models(ax: Axes, rows: pd.DataFrame, metric: str, size: float = 7.5) -> None:
    """Name the models that `scatter` drew against fwd_gmacs, beside their points and whiskers."""
    ends = zip(rows["low"].astype(float), rows["high"].astype(float), strict=True)
    label_points(ax, rows["fwd_gmacs"], rows[metric], list(config_names(rows)), size, ends)


def _overlay(ax: Axes, rows: pd.DataFrame, metric: str) -> None:
    for _, row in rows.iterrows():
        ax.scatter(
            row["fwd_gmacs"],
            row[metric],
            s=40,
            marker=style.marker(row["patch"]),
            facecolor="none",
            edgecolor=style.QUIET,
            linewidth=0.9,
            zorder=2,
        )
    x = rows["fwd_gmacs"]
    y = rows[metric]
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, float(x.min()) / 1.3), max(high, float(x.max()) * 1.3))
    ax.set_ylim(top=max(ax.get_ylim()[1], float(y.max()) * 1.2))


def panel(ax: Axes, points: Points) -> Correlation:
    """Draw one cloud of models with its line, without labels; return the correlation."""
    rows = average_seeds(points.frame, points.metric)
    style.log_axis(ax.xaxis, rows["fwd_gmacs"])
    x = rows["fwd_gmacs"].to_numpy(float)
    y = rows[points.metric].to_numpy(float)
    top = float(np.nanmax([np.nanmax(y), rows["high"].astype(float).max(skipna=True)]))
    ax.set_ylim(0 if y.min() >= 0 else None, top * 1.2 if top > 0 else None)
    line = ols(np.log10(x), y)
    if line.status == "ok":
        limits = ax.get_xlim()
        ends = np.array(limits)
        ax.plot(ends, line.at(np.log10(ends)), color=style.QUIET, ls=(0, (5, 3)), lw=1.1, zorder=1)
        ax.set_xlim(limits)
    scatter(ax, rows, "fwd_gmacs", points.metric)
    found = correlation_of(points)
    words = statistics(found, line, points.metric)
    style.note(
        ax,
        words,
        _free_corner(ax, x, rows["high"].astype(float).fillna(rows[points.metric]), words),
    )
    ax.set_xlabel("Forward Gflops (MACs, log scale)")
    ax.set_ylabel(style.metric_label(points.metric))
    return found


def _free_corner(ax: Axes, x: np.ndarray, tops: pd.Series, words: str) -> str:
    """Return the upper corner where the words cover no point; without one the axis grows.

    Quality that falls with compute leaves the right one free, and quality that rises the left.
    """
    low, high = np.log10(ax.get_xlim())
    across = (np.log10(x) - low) / (high - low)
    reach = min(0.95, 0.02 * max(map(len, words.splitlines())))
    bottom, top = ax.get_ylim()
    share = 0.03 + 0.075 * (words.count("\n") + 1)
    highest = {
        "upper right": tops[across > 1 - reach].max(),
        "upper left": tops[across < reach].max(),
    }
    free = top - share * (top - bottom)
    for corner, value in highest.items():
        if not value > free:
            return corner
    corner = min(highest, key=lambda c: highest[c])
    ax.set_ylim(top=bottom + (highest[corner] - bottom) / (1 - share - 0.03))
    return corner


def correlation_of(points: Points) -> Correlation:
    """Return Pearson's r of log10 Gmacs and the metric, bootstrapped over models and seeds."""
    rows = points.frame
    return correlate(
        np.log10(rows["fwd_gmacs"].astype(float)),
        rows[points.metric].astype(float),
        np.random.default_rng(SEED),
        groups=config_key(rows).to_numpy(str),
    )


def scatter(ax: Axes, rows: pd.DataFrame, x: str, y: str, *, size: float = 34) -> None:
    """Draw models: colour by size, marker by patch, a whisker from `low` to `high`."""
    colours = style.size_colours(rows["model_size"])
    for _, row in rows.iterrows():
        low = row.get("low")
        high = row.get("high")
        if pd.notna(low) and pd.notna(high) and high > low:
            ax.plot(
                [row[x], row[x]],
                [low, high],
                color=style.QUIET,
                lw=0.9,
                zorder=2,
                solid_capstyle="butt",
            )
        colour = colours[str(row["model_size"])]
        ax.scatter(
            row[x],
            row[y],
            s=size,
            marker=style.marker(row["patch"]),
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            alpha=0.92,
            zorder=3,
        )


def whiskers(rows: pd.DataFrame) -> str:
    """Return what the whiskers of rows of `average_seeds` are, "" where there are none."""
    if not (rows["high"].astype(float) > rows["low"].astype(float)).any():
        return ""
    repeats = int(rows["repeats"].max())
    noun = "repeat" if repeats == 1 else "repeats"
    noise = f"by {repeats} {noun} of this study" if repeats else "by a prior: nothing is repeated"
    return f"Whiskers: 95 % interval between trainings, {noise}."


def statistics(found: Correlation, line: Line, metric: str) -> str:
    """Return the picture's own words: correlation with interval and n, and the line."""
    if found.r is None:
        return found.words()
    text = f"r = {found.r:.2f} (n = {found.n} models)"
    if found.low is not None:
        text += f"\n{found.level * 100:g} % interval {found.low:.2f} to {found.high:.2f}"
    if line.status == "ok" and line.slope is not None:
        name = style.metric_name(metric)
        sign = "-" if line.slope < 0 else "+"
        text += f"\n{name} = {line.intercept:.2f} {sign} {abs(line.slope):.2f} log₁₀ G"
    return text.replace("-", "\N{MINUS SIGN}")
