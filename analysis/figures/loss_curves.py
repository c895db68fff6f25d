"""Training loss over training (the paper's figure 13): one panel per patch, one line per size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import style
from analysis.figures.curves import legend, model_looks
from analysis.figures.provenance import Provenance
from analysis.points import short_name
from dit_core.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curves(
    runs: pd.DataFrame,
    metrics: pd.DataFrame,
    column: str = "loss",
    *,
    left_out: list[str] | None = None,
    provenance: Provenance | None = None,
) -> Figure:
    """Return the training curves of all runs: `metrics` has run_id, images and `column`, `runs` their descriptions.

    A missing value breaks its line (nothing is bridged); a run that diverged ends in a cross. Raises UserError where
    no run has a curve.
    """
    have = metrics[metrics[column].notna()] if column in metrics else metrics.iloc[:0]
    if have.empty:
        raise UserError(f"loss-curves: no training curve holds {column!r}; `ditlab run STUDY` writes them")
    of = runs["run_id"].nunique()
    runs = runs[runs["run_id"].isin(set(have["run_id"]))]
    looks = model_looks(runs)
    panels = _panels(runs)
    fig, axes = style.new_figure(len(panels), width=max(4.6, 2.4 * len(panels)), height=3.3, sharey=True, squeeze=False)
    curves = dict(iter(metrics.groupby("run_id")))
    robust = have[column].to_numpy(float)
    for ax, (title, here) in zip(axes[0], panels.items(), strict=True):
        for _, run in here.iterrows():
            _line(ax, run, curves[run["run_id"]], column, looks[short_name(run)])
        style.count_axis(ax.xaxis)
        ax.set_title(title)
        ax.set_xlabel("Images seen")
        legend(ax, [looks[n] for n in looks if n in set(here.apply(short_name, axis=1))], loc="upper right")
    # The first rows of a curve are far above the rest and would flatten it.
    axes[0][0].set_ylim(0, float(np.quantile(robust, 0.97)) * 1.4)
    axes[0][0].set_ylabel(style.metric_label(column))
    source = (provenance or Provenance.of(runs)).text
    words = [f"{runs['run_id'].nunique()} of {of} runs", *(left_out or []), "values above the axis are not shown"]
    style.footer(fig, ["; ".join(words) + ".", source])
    return fig


def _panels(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the runs of each panel by its title: the four largest patches, and the U-Nets, which have none."""
    patches = sorted(runs["patch"].dropna().unique(), reverse=True)[:4]
    panels = {f"patch {patch}": runs[runs["patch"] == patch] for patch in patches}
    others = runs[runs["patch"].isna()]
    return panels | ({"U-Net": others} if len(others) else {})


def _line(ax: object, run: pd.Series, rows: pd.DataFrame, column: str, look: object) -> None:
    rows = rows.sort_values("images")
    x, y = rows["images"].to_numpy(float), rows[column].to_numpy(float)
    ax.plot(x, y, color=look.colour, ls=look.dashes, lw=0.9, alpha=0.9)  # type: ignore[attr-defined]
    if run.get("outcome") == "DIVERGED" and np.isfinite(y).any():
        last = np.flatnonzero(np.isfinite(y))[-1]
        ax.plot(x[last], y[last], marker="x", color=style.ACCENT, markersize=7, mew=1.6)  # type: ignore[attr-defined]
