"""Training loss over training (the paper's figure 13): one panel per patch, one line per size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.claims.spikes import SMOOTH
from analysis.figures import style
from analysis.figures.curves import LEGEND_ROW_IN, Look, legend, model_looks
from analysis.figures.provenance import Provenance
from analysis.figures.rows import provenance_of
from analysis.select.configuration import config_names
from analysis.select.points import one_design
from analysis.select.source import Source
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENTRIES = 12  # models named in a panel


def draw(source: Source, mix: bool) -> Figure:
    """Return the figure of a study; raises UserError for the paper, which prints no values."""
    if source.is_published:
        raise UserError(
            "loss-curves: the paper's figure 13 has no published values; `ditlab figures STUDY` "
            "draws it from your own runs"
        )
    chosen, left_out = one_design(source.runs)
    return loss_curves(
        chosen,
        source.metrics,
        left_out=left_out,
        of=source.runs["run_id"].nunique(),
        provenance=provenance_of(source, source.metrics),
    )


def loss_curves(
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    column: str = "loss",
    *,
    left_out: list[str] | None = None,
    of: int | None = None,
    provenance: Provenance | None = None,
) -> Figure:
    """Return the training curves of all runs.

    `metrics` has run_id, images and `column`; `runs` holds their descriptions. `left_out` says
    which runs of the `of` in all (None: those given) were left out before.

    Lines are means over a few rows of a curve, the rows themselves lie pale behind them. A missing
    value breaks its line (nothing is bridged); a run that diverged ends in a cross. Raises
    UserError where no run has a curve.
    """
    have = metrics[metrics[column].notna()] if column in metrics else metrics.iloc[:0]
    if have.empty:
        raise UserError(
            f"loss-curves: no training curve holds {column!r}; `ditlab run STUDY` writes them"
        )
    of = runs["run_id"].nunique() if of is None else of
    runs = runs[runs["run_id"].isin(set(have["run_id"]))]
    have = have[have["run_id"].isin(set(runs["run_id"]))]
    looks = {name: _plain(look) for name, look in model_looks(runs).items()}
    names = config_names(runs)
    panels = _panels(runs)
    named = min(max(names[here.index].nunique() for here in panels.values()), _ENTRIES + 1)
    width = max(4.6, 2.4 * len(panels))
    height = max(3.3, 1.3 + LEGEND_ROW_IN * named)
    fig, axes = style.new_figure(
        len(panels), width=width, height=height, sharey=True, squeeze=False
    )
    curves = dict(iter(metrics.groupby("run_id")))
    robust = have[column].to_numpy(float)
    for ax, (title, here) in zip(axes[0], panels.items(), strict=True):
        for at, run in here.iterrows():
            _line(ax, run, curves[run["run_id"]], column, looks[names[at]])
        style.count_axis(ax.xaxis)
        ax.set_title(title)
        ax.set_xlabel("Images seen")
        legend(
            ax,
            [looks[n] for n in looks if n in set(names[here.index])],
            loc="upper right",
            most=_ENTRIES,
        )
    # The first rows of a curve are far above the rest and would flatten it.
    axes[0][0].set_ylim(0, float(np.quantile(robust, 0.97)) * 1.4)
    axes[0][0].set_ylabel(style.metric_label(column))
    source = (provenance or Provenance.of(runs)).text
    drawn = f"lines are means over {SMOOTH} rows of a curve, the rows are pale"
    words = [
        f"{runs['run_id'].nunique()} of {of} runs",
        *(left_out or []),
        drawn,
        "values above the axis are not shown",
    ]
    style.footer(fig, ["; ".join(words) + ".", source])
    return fig


def _plain(look: Look) -> Look:
    """Return a look without markers and its patch's dashes: panels tell patches apart."""
    return replace(look, marker="", dashes=look.dashes if look.twin else "-")


def _panels(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the runs of each panel by title: the four largest patches, then the U-Nets."""
    patches = sorted(runs["patch"].dropna().unique(), reverse=True)[:4]
    panels = {f"patch {patch:g}": runs[runs["patch"] == patch] for patch in patches}
    others = runs[runs["patch"].isna()]
    return panels | ({"U-Net": others} if len(others) else {})


def _line(ax: object, run: pd.Series, rows: pd.DataFrame, column: str, look: object) -> None:
    rows = rows.sort_values("images")
    x = rows["images"].to_numpy(float)
    y = rows[column].to_numpy(float)
    mean = (
        rows[column]
        .astype(float)
        .rolling(SMOOTH, center=True, min_periods=1)
        .mean()
        .where(np.isfinite(y))
    )
    ax.plot(x, y, color=look.colour, lw=0.5, alpha=0.25)  # type: ignore[attr-defined]
    ax.plot(x, mean, color=look.colour, ls=look.dashes, lw=1.1, alpha=0.9)  # type: ignore[attr-defined]
    if run.get("outcome") == "DIVERGED" and np.isfinite(y).any():
        last = np.flatnonzero(np.isfinite(y))[-1]
        ax.plot(x[last], y[last], marker="x", color=style.ACCENT, markersize=7, mew=1.6)  # type: ignore[attr-defined]
