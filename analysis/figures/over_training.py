"""Quality over training: the conditioning designs (the paper's figure 5), sizes and patches (figure
6).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.curves import design_look, draw_lines, mean_lines, model_looks, name_ends
from analysis.figures.provenance import Provenance
from analysis.select.configuration import config_names
from analysis.select.points import Points, whole_lines
from analysis.tables.order import size_order
from dit_core.errors import UserError
from dit_core.study.catalogue.designs import DESIGNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_X = "images_seen"
_SHORT_NAME = 8  # letters, as "XXXXS/16"


def conditioning(
    points: Points, *, provenance: Provenance | None = None, title: str = ""
) -> Figure:
    """Return the conditioning designs over training, one panel, at the largest of the models with
    the most designs.

    `points.frame` may hold many training points per run. Raises UserError where fewer than two
    designs were measured.
    """
    points = whole_lines(points, _X)
    rows = points.frame
    names = config_names(rows, but=("conditioning",))
    models = rows.groupby(names).agg({"conditioning": "nunique", "fwd_gmacs": "max"})
    models = models.sort_values(["conditioning", "fwd_gmacs"], ascending=False, kind="stable")
    if models.empty or models["conditioning"].iloc[0] < 2:
        raise UserError(
            "conditioning: needs two or more conditioning designs of one model; the records hold "
            f"{', '.join(sorted(map(str, rows['conditioning'].dropna().unique()))) or 'none'}: add "
            "them under "
            "`include: [{model.conditioning: [...]}]` and `ditlab run STUDY`"
        )
    model = str(models.index[0])
    rows = rows[(names == model) & rows["conditioning"].notna()]
    title = style.clean(title or f"Conditioning designs at {model}", 60)
    lines = mean_lines(rows, _X, points.metric, rows["conditioning"].map(str))
    lines = {
        name: lines[name]
        for name in [*DESIGNS, *sorted(set(lines) - set(DESIGNS))]
        if name in lines
    }
    looks = {name: design_look(name) for name in lines}
    if max(map(len, lines.values())) == 1:
        return _at_the_end(lines, points, rows, provenance, title)
    fig, ax = style.new_figure(width=4.8, height=3.4)
    draw_lines(ax, lines, looks, _X, points.metric)
    finish(ax, rows, points.metric, room=1.32)
    ax.set_title(title)
    style.footer(fig, [_counted(points, rows), _source(provenance, rows)])
    name_ends(ax, lines, looks, _X, points.metric)
    return fig


def _at_the_end(
    lines: dict[str, pd.DataFrame],
    points: Points,
    rows: pd.DataFrame,
    provenance: Provenance | None,
    title: str,
) -> Figure:
    """Return the designs side by side where there is one training point only: a curve of one point
    is none.
    """
    fig, ax = style.new_figure(width=4.8, height=3.2)
    for i, (name, line) in enumerate(lines.items()):
        look = design_look(name)
        here = rows[rows["conditioning"] == name]
        single = len(here) == 1 and f"{points.metric}_low" in here
        low = here[f"{points.metric}_low"].iloc[0] if single else line["low"].iloc[0]
        high = here[f"{points.metric}_high"].iloc[0] if single else line["high"].iloc[0]
        ax.plot([i, i], [low, high], color=style.QUIET, lw=1.1, zorder=2)
        ax.plot(
            i,
            line[points.metric].iloc[0],
            color=look.colour,
            marker=look.marker,
            markersize=7,
            zorder=3,
        )
    ax.set_xticks(range(len(lines)), [style.clean(design_look(n).label, 20) for n in lines])
    ax.set_xlim(-0.6, len(lines) - 0.4)
    ax.set_ylim(0, float(np.nanmax([rows[points.metric].max(), *ax.get_ylim()])) * 1.08)
    ax.set_ylabel(style.metric_label(points.metric))
    ax.set_title(title)
    style.footer(fig, [_counted(points, rows), _source(provenance, rows)])
    return fig


def size_patch(points: Points, *, provenance: Provenance | None = None) -> Figure:
    """Return size at every patch (upper rows) and patch at every size (lower rows), quality over
    training.
    """
    points = whole_lines(points, _X)
    rows = points.frame
    if rows.groupby("run_id")[_X].nunique().max() < 2:
        raise UserError(
            "size-patch: no run was measured at two training points; write `at: [25%, 50%, 100%]` "
            "in "
            "`evaluate:` and `ditlab run STUDY`; the figure `bubbles` needs one only"
        )
    looks = model_looks(rows)
    names = config_names(rows)
    sizes = size_order(rows["model_size"])
    patches = sorted(rows["patch"].dropna().unique(), reverse=True)
    panels = [("patch", p, f"patch {p:g}") for p in patches] + [
        ("model_size", s, f"size {s}") for s in sizes
    ]
    panels = [k for k in panels if names[rows[k[0]] == k[1]].nunique() > 1]
    if not panels:
        raise UserError(
            "size-patch: needs two or more sizes at one patch, or two patches at one size; put "
            "`model.size: [...]` or `model.patch: [...]` under `axes:` and `ditlab run STUDY`"
        )
    groups = [[k for k in panels if k[0] == kind] for kind in ("patch", "model_size")]
    grid = [g[i : i + 4] for g in groups for i in range(0, len(g), 4)]
    columns = max(map(len, grid))
    fig, axes = style.new_figure(
        columns, len(grid), height=0.5 + 2.05 * len(grid), sharey=True, squeeze=False
    )
    for cells, kinds in zip(axes, grid, strict=True):
        for ax, panel in zip(cells, [*kinds, *[None] * (columns - len(kinds))], strict=True):
            if panel is None:
                ax.axis("off")
                continue
            chosen = rows[rows[panel[0]] == panel[1]]
            lines = mean_lines(chosen, _X, points.metric, names[chosen.index])
            lines = {k: lines[k] for k in looks if k in lines}
            draw_lines(ax, lines, looks, _X, points.metric)
            finish(ax, rows, points.metric, room=_room(names, columns))
            ax.set_title(style.clean(panel[2], 24))
            ax.set_ylabel("")
        cells[0].set_ylabel(style.metric_name(points.metric))
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    style.footer(fig, [_counted(points, rows), _source(provenance, rows)])
    for cells, kinds in zip(axes, grid, strict=True):
        for ax, panel in zip(cells, kinds, strict=False):
            chosen = rows[rows[panel[0]] == panel[1]]
            lines = mean_lines(chosen, _X, points.metric, names[chosen.index])
            name_ends(ax, {k: lines[k] for k in looks if k in lines}, looks, _X, points.metric, 6.5)
    return fig


def _room(names: pd.Series, columns: int) -> float:
    """Return how far a panel's axis reaches beyond the last point, so that the longest name has its
    place there.
    """
    letters = int(names.map(len).max())
    if letters <= _SHORT_NAME:
        return 1.3
    width = style.WIDTH_IN * 72 / columns - 30  # points; a letter of size 6.5 is about 4 wide
    return min(2.5, 1 / max(0.4, 1 - (12 + 4 * min(letters, 24)) / width))


def finish(ax: Axes, rows: pd.DataFrame, metric: str, room: float = 1.22) -> None:
    """Set axes of a panel over training: from zero, room on the right for the names."""
    end = float(rows[_X].max())
    ax.set_xlim(0, end * room)
    if rows[metric].min() >= 0:
        ax.set_ylim(0, float(rows[metric].max()) * 1.05)
    style.count_axis(ax.xaxis)
    ax.set_xlabel("Images seen")
    ax.set_ylabel(style.metric_label(metric))


def _counted(points: Points, rows: pd.DataFrame) -> str:
    shown = rows["run_id"].nunique()
    others = [f"{points.shown - shown} of other models not drawn"] if shown < points.shown else []
    return replace(points, shown=shown, left_out=(*points.left_out, *others)).footer


def _source(provenance: Provenance | None, rows: pd.DataFrame) -> str:
    return (provenance or Provenance.of(rows)).text
