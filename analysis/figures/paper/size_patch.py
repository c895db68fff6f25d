"""Model size and patch size over training (the paper's figure 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import style
from analysis.figures.curves import draw_lines, mean_lines, model_looks, name_ends
from analysis.figures.over_training import X, finish, footer_of, source_of
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of, rows_of
from analysis.select.configuration import config_names
from analysis.select.points import Points, final_points, whole_lines
from analysis.select.source import Source
from analysis.tables.order import size_order
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHORT_NAME = 8  # letters, as "XXXXS/16"


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of a study, or of the paper's lines."""
    rows = rows_of(source, "figure6")
    points = final_points(rows, source.metric, mix=mix, every=True)
    return size_patch(points, provenance=provenance_of(source, rows))


def size_patch(points: Points, *, provenance: Provenance | None = None) -> Figure:
    """Return quality over training: sizes at each patch (above), patches at each size (below)."""
    points = whole_lines(points, X)
    rows = points.frame
    if rows.groupby("run_id")[X].nunique().max() < 2:
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
            lines = mean_lines(chosen, X, points.metric, names[chosen.index])
            lines = {k: lines[k] for k in looks if k in lines}
            draw_lines(ax, lines, looks, X, points.metric)
            finish(ax, rows, points.metric, room=_room(names, columns))
            ax.set_title(style.clean(panel[2], 24))
            ax.set_ylabel("")
        cells[0].set_ylabel(style.metric_name(points.metric))
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    style.footer(fig, [footer_of(points, rows), source_of(provenance, rows)])
    for cells, kinds in zip(axes, grid, strict=True):
        for ax, panel in zip(cells, kinds, strict=False):
            chosen = rows[rows[panel[0]] == panel[1]]
            lines = mean_lines(chosen, X, points.metric, names[chosen.index])
            name_ends(ax, {k: lines[k] for k in looks if k in lines}, looks, X, points.metric, 6.5)
    return fig


def _room(names: pd.Series, columns: int) -> float:
    """Return how far a panel's axis reaches beyond the last point: room for the longest name."""
    letters = int(names.map(len).max())
    if letters <= _SHORT_NAME:
        return 1.3
    width = style.WIDTH_IN * 72 / columns - 30  # points; a letter of size 6.5 is about 4 wide
    return min(2.5, 1 / max(0.4, 1 - (12 + 4 * min(letters, 24)) / width))
