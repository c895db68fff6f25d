"""The conditioning designs over training (the paper's figure 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.figures import style
from analysis.figures.curves import design_look, draw_lines, mean_lines, name_ends
from analysis.figures.over_training import X, finish, footer_of, source_of
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of, rows_of
from analysis.select.configuration import config_names
from analysis.select.points import Points, final_points, whole_lines
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.catalogue.designs import DESIGNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of a study, or of the paper's lines."""
    rows = rows_of(source, "figure5")
    points = final_points(rows, source.metric, mix=mix, same_design=False, every=True)
    return conditioning(points, provenance=provenance_of(source, rows))


def conditioning(
    points: Points, *, provenance: Provenance | None = None, title: str = ""
) -> Figure:
    """Return the conditioning designs over training, at one model.

    It is the largest of the models with the most designs. `points.frame` may hold many training
    points per run. Raises UserError where fewer than two designs were measured.
    """
    points = whole_lines(points, X)
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
    lines = mean_lines(rows, X, points.metric, rows["conditioning"].map(str))
    lines = {
        name: lines[name]
        for name in [*DESIGNS, *sorted(set(lines) - set(DESIGNS))]
        if name in lines
    }
    looks = {name: design_look(name) for name in lines}
    if max(map(len, lines.values())) == 1:
        return _at_the_end(lines, points, rows, provenance, title)
    fig, ax = style.new_figure(width=4.8, height=3.4)
    draw_lines(ax, lines, looks, X, points.metric)
    finish(ax, rows, points.metric, room=1.32)
    ax.set_title(title)
    style.footer(fig, [footer_of(points, rows), source_of(provenance, rows)])
    name_ends(ax, lines, looks, X, points.metric)
    return fig


def _at_the_end(
    lines: dict[str, pd.DataFrame],
    points: Points,
    rows: pd.DataFrame,
    provenance: Provenance | None,
    title: str,
) -> Figure:
    """Return the designs side by side, for results of one training point only."""
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
    style.footer(fig, [footer_of(points, rows), source_of(provenance, rows)])
    return fig
