"""Samples by size and patch (the paper's figure 7), from the grids beside the records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import style
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of
from analysis.select.configuration import config_names
from analysis.select.points import final_points
from analysis.select.source import Source
from analysis.tables.order import size_order
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Grid:
    """One picture: a grid of samples (PNG) and the place it takes."""

    row: str
    column: str
    path: Path


def draw(source: Source, mix: bool) -> Figure:
    """Return the samples without guidance, by model size and patch."""
    rows = pictured("sample-grid", source)
    rows = rows[rows["guidance"] == 1.0]
    if rows.empty:
        raise no_pictures("sample-grid", "`guidance: 1.0`", source)
    points = final_points(rows, source.metric)
    return sample_grid(
        grids_of(points.frame, source.pictures),
        title="Samples",
        footer=points.footer,
        provenance=provenance_of(source, points.frame),
    )


def pictured(name: str, source: Source) -> pd.DataFrame:
    """Return the results that have a picture of samples; raises UserError for the paper."""
    if source.is_published:
        raise UserError(
            f"{name}: the paper's pictures are not part of this project; `ditlab figures STUDY` "
            "draws it from your own samples"
        )
    rows = source.results
    return rows[rows["eval_id"].isin(set(source.pictures))] if "eval_id" in rows else rows.iloc[:0]


def no_pictures(name: str, setting: str, source: Source) -> UserError:
    """Return the error of a study without pictures of samples at a setting."""
    return UserError(
        f"{name}: no pictures of such samples; write {setting} in `evaluate:` and `ditlab run "
        f"{source.name}` (nothing is trained again)"
    )


def sample_grid(
    grids: list[Grid],
    *,
    title: str,
    footer: str,
    rows: str = "model size",
    columns: str = "patch",
    provenance: Provenance,
) -> Figure:
    """Return the grids as a matrix: rows as they come, columns by rising compute or guidance.

    An absent grid leaves its cell empty. Raises UserError where there is none at all.
    """
    grids = [g for g in grids if g.path.is_file()]
    if not grids:
        raise UserError(
            "sample-grid: no sample pictures beside the evaluation records; `ditlab run STUDY` "
            "writes "
            "one per evaluation, `ditlab sample RUN` one for a run"
        )
    ys = list(dict.fromkeys(g.row for g in grids))
    xs = sorted({g.column for g in grids}, key=lambda w: float(w.rsplit(" ", 1)[-1]))
    if columns == "patch":
        xs.reverse()  # a smaller patch costs more: compute rises to the right
    cell = min(1.9, 6.6 / len(xs))
    fig, axes = style.new_figure(
        len(xs),
        len(ys),
        width=max(3.4, cell * len(xs) + 0.7),
        height=cell * len(ys) + 1.0,
        squeeze=False,
    )
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
        for side in ax.spines.values():
            side.set_visible(False)
    for grid in grids:
        ax = axes[ys.index(grid.row)][xs.index(grid.column)]
        ax.imshow(_pixels(grid.path), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for i, name in enumerate(ys):
        axes[i][0].set_ylabel(style.clean(name, 20))
    for i, name in enumerate(xs):
        axes[0][i].set_title(style.clean(name, 20))
    fig.suptitle(
        style.clean(f"{title} by {rows} and {columns}", 90), fontsize=9.5, fontweight="bold"
    )
    style.footer(
        fig,
        [f"{len(grids)} of {len(ys) * len(xs)} cells, one seed of each. {footer}", provenance.text],
    )
    return fig


def _pixels(path: Path) -> object:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def grids_of(frame: pd.DataFrame, picture: dict[str, Path], column: str = "patch") -> list[Grid]:
    """Return the grids of a frame's evaluations by model (small to large) and `column`.

    There is one seed of each. `picture` maps eval_id to its PNG. A row is named after the size
    where the columns are patches, else "XL/2".
    """
    alike = frame.assign(patch=float("nan")) if column == "patch" else frame
    order = {s: i for i, s in enumerate(size_order(frame["model_size"]))}
    rows = frame.assign(
        _row=config_names(alike, but=(column,)), _size=frame["model_size"].map(order)
    )
    rows = rows[rows["eval_id"].isin(set(picture))].sort_values(
        ["_size", "_row", column], kind="stable"
    )
    rows = rows.drop_duplicates(["_row", column])
    return [
        Grid(str(r["_row"]), _heading(column, r[column]), picture[r["eval_id"]])
        for _, r in rows.iterrows()
    ]


def _heading(column: str, value: float) -> str:
    return f"{column.replace('_', ' ')} {value:g}" if pd.notna(value) else "U-Net"
