"""Quality by size and patch, the bubble's area is forward compute (the paper's figure 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.labels import label_points
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of, rows_of
from analysis.published import numbers as published
from analysis.select.configuration import config_names
from analysis.select.points import Points, average_seeds, final_points
from analysis.select.source import Source
from analysis.tables.order import size_order
from dit_core.study.catalogue.designs import DESIGNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, told apart in grey as well: dark, middle, light.
_PATCH_COLOURS = {1: "#3b1f5b", 2: "#0b4f8a", 4: "#d55e00", 8: "#e69f00", 16: "#b9b9b9"}
_LARGEST = 900.0  # area of the largest bubble, points squared
_DOT = 20.0  # a smaller one gets a ring in place of the dot in its middle
_HATCHES = {4: "///", 8: "..."}


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of a study, or of the paper with the systems of its Table 2 beside it."""
    rows = rows_of(source, "paper_scaling12")
    points = final_points(rows, source.metric, mix=mix)
    systems = published.systems(256) if source.is_published else None
    return bubbles(points, systems, provenance=provenance_of(source, rows))


def bubbles(
    points: Points, systems: pd.DataFrame | None = None, *, provenance: Provenance | None = None
) -> Figure:
    """Return quality by size (x) and patch (colour); a bubble's area is Gmacs.

    `systems`, drawn beside it, has columns name, fid, fwd_gmacs; its rows without Gflops are left
    out and counted.
    """
    rows = average_seeds(points.frame, points.metric)
    fig, axes = style.new_figure(
        2 if systems is not None else 1,
        width=style.WIDTH_IN if systems is not None else 4.6,
        height=3.8,
    )
    first = np.atleast_1d(axes)[0]
    scale = _LARGEST / float(rows["fwd_gmacs"].max())
    _models(first, rows, points.metric, scale)
    lines = [f"{points.footer} Area: forward Gflops (MACs)."]
    if systems is not None:
        known = systems[systems["fwd_gmacs"].notna() & systems["fid"].notna()]
        _systems(axes[1], known)
        lines.append(
            f"Right: {len(known)} of {len(systems)} rows of Table 2 (the others print no Gflops)."
        )
    style.footer(fig, [*lines, (provenance or Provenance.of(rows)).text])
    told = config_names(rows)
    if (
        told.nunique() > rows[["model_size", "patch"]].drop_duplicates().shape[0]
    ):  # the legend does not tell these apart
        sizes = size_order(rows["model_size"])
        label_points(
            first,
            [sizes.index(str(s)) for s in rows["model_size"]],
            rows[points.metric],
            list(told),
            6.5,
        )
    if systems is not None:
        names = [_guided(n, g) for n, g in zip(known["name"], known["guidance"], strict=True)]
        label_points(axes[1], known["fwd_gmacs"], known["fid"], names, 6.5)
    return fig


def _models(ax: Axes, rows: pd.DataFrame, metric: str, scale: float) -> None:
    sizes = size_order(rows["model_size"])
    patches = sorted(rows["patch"].dropna().unique(), reverse=True)
    for _, row in rows.sort_values("fwd_gmacs", ascending=False).iterrows():
        colour = _PATCH_COLOURS.get(row["patch"], style.QUIET)
        x = sizes.index(str(row["model_size"]))
        area = row["fwd_gmacs"] * scale
        ax.scatter(
            x,
            row[metric],
            s=area,
            facecolor=colour,
            alpha=0.8,
            edgecolor=style.INK,
            linewidth=0.5,
            hatch=_HATCHES.get(row["patch"]),
        )
        if area < _DOT:  # a dot would hide so small a bubble
            ax.scatter(
                x,
                row[metric],
                s=2 * _DOT,
                facecolor="none",
                edgecolor=colour,
                linewidth=0.9,
                zorder=4,
            )
        else:
            ax.scatter(x, row[metric], s=5, color=style.INK, zorder=4)
    ax.set_xticks(range(len(sizes)), [style.clean(s, 12) for s in sizes])
    ax.set_xlim(-0.7, len(sizes) - 0.3)
    low = float(rows[metric].min())
    high = float(rows[metric].max())
    ax.set_ylim(min(0.0, low), high + 0.12 * (high - min(0.0, low)))
    ax.set_xlabel("Model size")
    ax.set_ylabel(style.metric_label(metric))
    ax.set_title("Quality by size and patch")
    _patch_legend(ax, patches)


def _patch_legend(ax: Axes, patches: list[int]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=_PATCH_COLOURS.get(int(p), style.QUIET),
            edgecolor=style.INK,
            linewidth=0.5,
            hatch=_HATCHES.get(int(p)),
            label=f"patch {int(p)}",
        )
        for p in patches
    ]
    ax.legend(
        handles=handles, loc="best"
    )  # the upper right, unless the largest models are the worst


def _systems(ax: Axes, rows: pd.DataFrame) -> None:
    style.log_axis(ax.xaxis, rows["fwd_gmacs"])
    ours = rows["name"].str.startswith("DiT")
    for mine, colour, shape in (
        (False, style.QUIET, "s"),
        (True, DESIGNS["adaln-zero"].colour, "o"),
    ):
        chosen = rows[ours == mine]
        words = "DiT" if mine else "U-Net systems"
        ax.scatter(
            chosen["fwd_gmacs"],
            chosen["fid"],
            s=34,
            color=colour,
            marker=shape,
            edgecolor="white",
            linewidth=0.5,
            label=words,
            zorder=3,
        )
    ax.set_ylim(0, float(rows["fid"].max()) * 1.12)
    ax.set_xlim(float(rows["fwd_gmacs"].min()) / 1.8, float(rows["fwd_gmacs"].max()) * 2.4)
    ax.set_xlabel("Forward Gflops (MACs, log scale)")
    ax.set_ylabel("FID-50K (lower is better)")
    ax.set_title("Systems at 256 px")
    ax.legend(loc="upper right")


def _guided(name: str, guidance: float) -> str:
    return f"{name} ({guidance:g})" if pd.notna(guidance) and guidance != 1 else name
