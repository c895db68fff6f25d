"""Lines over training or compute, named at their ends: shared by the figures that draw curves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.select.configuration import config_names
from analysis.tables.order import size_order
from dit_core.study.catalogue.designs import DESIGNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LEGEND_ENTRIES = 40
LEGEND_LETTERS = 48
SHORT_LETTERS = 32  # where a name is longer than that
LEGEND_ROW_IN = 0.2  # height of one entry
NAMED_ENDS = 20
_DASHES = {1: (0, (1, 1)), 2: "-", 4: "--", 8: ":"}  # by patch
_TWIN_DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_TWIN_MARKERS = ("X", "P", "*", "<", ">")


@dataclass(frozen=True, slots=True)
class Look:
    """How one line is drawn."""

    label: str
    colour: Any
    dashes: Any = "-"
    marker: str = "o"
    twin: bool = False
    """Whether another line has its size and its patch."""


def model_looks(rows: pd.DataFrame) -> dict[str, Look]:
    """Return one look per model "XL/2": colour by size, marker and dashes by patch.

    Configurations that share both, as with two kinds of position embedding, go through the other
    dashes and markers; where all have one size, the colour tells the names apart.
    """
    models = rows.assign(_name=config_names(rows)).drop_duplicates("_name")
    order = size_order(rows["model_size"])
    models = models.assign(_at=models["model_size"].map(lambda s: order.index(str(s)))).sort_values(
        ["_at", "_name"]
    )
    models["_twin"] = models.groupby(["_at", "patch"], dropna=False).cumcount()
    single = len(order) == 1
    colours = style.shades(models["_name"] if single else order)
    return {
        row["_name"]: _model_look(row, colours[row["_name"] if single else str(row["model_size"])])
        for _, row in models.iterrows()
    }


def _model_look(row: pd.Series, colour: Any) -> Look:
    if row["_twin"] == 0:
        return Look(
            row["_name"], colour, _DASHES.get(row["patch"], "-."), style.marker(row["patch"])
        )
    return Look(
        row["_name"],
        colour,
        _TWIN_DASHES[row["_twin"] % len(_TWIN_DASHES)],
        _TWIN_MARKERS[row["_twin"] % len(_TWIN_MARKERS)],
        twin=True,
    )


def design_look(name: str) -> Look:
    """Return the look of a conditioning design."""
    if name not in DESIGNS:  # of records that another version wrote
        return Look(name, style.INK, "-", "P")
    row = DESIGNS[name]
    return Look(row.label, row.colour, row.line, row.marker)


def mean_lines(rows: pd.DataFrame, x: str, y: str, names: pd.Series) -> dict[str, pd.DataFrame]:
    """Return per name its x, the mean y over seeds, and `low` and `high` over seeds.

    `names` holds one name per row. With one seed `low` and `high` equal y.
    """
    lines = {}
    for name, group in rows.groupby(names, sort=False):
        grouped = group.groupby(x)[y].agg(["mean", "min", "max"]).reset_index()
        grouped.columns = [x, y, "low", "high"]
        lines[str(name)] = grouped.sort_values(x)
    return lines


def draw_lines(
    ax: Axes, lines: dict[str, pd.DataFrame], looks: dict[str, Look], x: str, y: str
) -> None:
    """Draw each line with its markers and, over seeds, a band from the smallest to the largest."""
    for name, line in lines.items():
        look = looks[name]
        if (line["high"] > line["low"]).any():
            ax.fill_between(line[x], line["low"], line["high"], color=look.colour, alpha=0.18, lw=0)
        every = max(1, len(line) // 12)
        ax.plot(
            line[x],
            line[y],
            color=look.colour,
            ls=look.dashes,
            marker=look.marker,
            markevery=every,
            markersize=4,
            markeredgecolor="white",
            markeredgewidth=0.4,
            lw=1.4,
        )


def name_ends(
    ax: Axes,
    lines: dict[str, pd.DataFrame],
    looks: dict[str, Look],
    x: str,
    y: str,
    size: float = 7.5,
) -> None:
    """Write each line's name right of its end, spread so that names do not overlap.

    Call last: it settles.
    """
    ends = [(name, line[x].iloc[-1], line[y].iloc[-1]) for name, line in lines.items() if len(line)]
    fig = ax.get_figure(root=True)
    if fig is None or not 0 < len(ends) <= NAMED_ENDS:
        return
    style.settle(fig)
    pixels = [float(ax.transData.transform((xv, yv))[1]) for _, xv, yv in ends]
    gap = size * 1.25 * fig.dpi / 72
    area = ax.get_window_extent()
    places = spread(pixels, gap, area.y0 + gap / 2, area.y1 - gap / 2)
    for (name, xv, yv), at, place in zip(ends, pixels, places, strict=True):
        look = looks[name]
        offset = (place - at) * 72 / fig.dpi
        arrow = {"arrowstyle": "-", "color": look.colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
        ax.annotate(
            style.clean(look.label, 24),
            (xv, yv),
            (9, offset),
            textcoords="offset points",
            fontsize=size,
            va="center",
            ha="left",
            color=style.INK,
            annotation_clip=False,
            arrowprops=arrow,
            zorder=6,
            path_effects=style.halo(),
        )


def spread(wanted: Iterable[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions at least `gap` apart, in the order wanted, as near as can be.

    All lie within `low` and `high`.
    """
    values = np.asarray(list(wanted), float)
    order = np.argsort(values, kind="stable")
    gap = min(gap, (high - low) / max(1, len(values) - 1)) if len(values) > 1 else gap
    places = values[order].clip(low, high)
    for _ in range(200):
        close = np.diff(places) < gap - 1e-9
        if not close.any():
            break
        for i in np.flatnonzero(close):
            push = (gap - (places[i + 1] - places[i])) / 2
            places[i] -= push
            places[i + 1] += push
        places = places.clip(low, high)
    for j in range(1, len(places)):  # whatever the relaxation left is settled from below
        places[j] = max(places[j], places[j - 1] + gap)
    out = np.empty_like(places)
    out[order] = places
    return [float(v) for v in out]


def legend(
    ax: Axes, looks: Iterable[Look], title: str | None = None, most: int = LEGEND_ENTRIES, **kw: Any
) -> None:
    """Draw a legend of at most `most` looks; the rest are counted.

    Names that begin with an underscore are shown too.
    """
    from matplotlib.lines import Line2D

    looks = list(looks)
    more = len(looks) - most
    looks = looks[:most]
    handles = [
        Line2D([], [], color=k.colour, ls=k.dashes, marker=k.marker, markersize=4) for k in looks
    ]
    longest = max((len(k.label) for k in looks), default=0)
    # A name too long for a legend would leave no room for the axes: all are cut shorter then.
    letters = LEGEND_LETTERS if longest <= LEGEND_LETTERS else SHORT_LETTERS
    words = [style.clean(k.label, letters) for k in looks]
    # Matplotlib hides an entry whose name begins with an underscore.
    words = ["\u200a" + w if w.startswith("_") else w for w in words]
    if more > 0:
        handles.append(Line2D([], [], lw=0))
        words.append(f"and {more} more")
    ax.legend(handles, words, title=title, **kw)
