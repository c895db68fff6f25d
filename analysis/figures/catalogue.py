"""All figures by name, drawn from a `Source`; what cannot be drawn says what is missing and what
would make it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures import (
    bubbles,
    compute,
    gmacs_quality,
    loss_curves,
    other_metrics,
    over_training,
    sample_grid,
)
from analysis.figures.provenance import Provenance
from analysis.published import numbers as published
from analysis.select.points import final_points, need, one_design
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.catalogue.figures import FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Source, bool], "Figure"]
PRINTED_R = {
    "sfid": -0.86,
    "is": 0.90,
    "precision": 0.93,
    "recall": 0.86,
}  # figure 12, requoted (published/facts.md)
_DIGITISED = "read off the paper's figure, reading error 0.1 to 0.8 FID"


def draw(name: str, source: Source, mix: bool = False) -> Figure:
    """Return figure `name` of `source`; raises UserError where its data are missing or of two
    protocols.
    """
    return _DRAW[name](source, mix)


def stem(name: str) -> str:
    """Return the file name of a figure without ending: "figure08-gmacs-quality"."""
    return FIGURES[name].stem


def _provenance(source: Source, frame: pd.DataFrame) -> Provenance:
    tables = set(frame["table"]) if source.is_published and "table" in frame else set()
    remarks = [_DIGITISED] if any(t.startswith("figure") for t in tables) else []
    if "marks" in frame:
        remarks += sorted(set(frame["marks"].dropna()))
    return Provenance.of(frame, source.commit, " · ".join(remarks))


def _rows(source: Source, *tables: str) -> pd.DataFrame:
    """Return the rows a figure reads: of the paper those of one table or figure, of a study all."""
    if not source.is_published:
        need(source.results, source.metric, f"ditlab run {source.name}")
        return source.results
    return source.results[source.results["table"].isin(tables)]


def _bubbles(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "paper_scaling12")
    systems = published.systems(256) if source.is_published else None
    return bubbles.bubbles(
        final_points(rows, source.metric, mix=mix), systems, provenance=_provenance(source, rows)
    )


def _conditioning(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "figure5")
    points = final_points(rows, source.metric, mix=mix, same_design=False, every=True)
    return over_training.conditioning(points, provenance=_provenance(source, rows))


def _size_patch(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "figure6")
    points = final_points(rows, source.metric, mix=mix, every=True)
    return over_training.size_patch(points, provenance=_provenance(source, rows))


def _gmacs(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "paper_scaling12")
    title = "The paper's twelve models" if source.is_published else source.title
    over = published.scaling() if _same_convention(source, published.PAPER_PROTOCOL) else None
    beside = not source.is_published and over is None
    return gmacs_quality.gmacs_quality(
        rows,
        source.metric,
        title=title,
        mix=mix,
        beside_paper=beside,
        overlay=over,
        provenance=_provenance(source, rows),
    )


def _same_convention(source: Source, protocol: str) -> bool:
    """Return whether a study measured as the paper did, so that its points may share an axis with
    the paper's.
    """
    if source.is_published or "protocol" not in source.results:
        return False
    return source.metric == "fid" and protocol in set(source.results["protocol"].dropna())


def _training(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "figure6", "figure9")
    points = final_points(rows, source.metric, mix=mix, every=True)
    over = None
    if _same_convention(source, published.PAPER_PROTOCOL):
        over = published.curves()
        over = over[over["conditioning"] == "adaln-zero"]
    return compute.training_compute(points, overlay=over, provenance=_provenance(source, rows))


def _sampling(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "figure10")
    points = final_points(rows, source.metric, mix=mix, keep=("steps",))
    over = published.sampling() if _same_convention(source, published.FIG10_PROTOCOL) else None
    return compute.sampling_compute(points, overlay=over, provenance=_provenance(source, rows))


def _others(source: Source, mix: bool) -> Figure:
    rows = _rows(source, "third_party_replication")
    said = (
        "Values: replications in the U-DiT paper; the DiT paper prints none."
        if source.is_published
        else ""
    )
    return other_metrics.other_metrics(
        rows,
        source.metric,
        mix=mix,
        remark=said,
        provenance=_provenance(source, rows),
        printed=PRINTED_R if source.is_published else None,
    )


def _losses(source: Source, mix: bool) -> Figure:
    if source.is_published:
        raise UserError(
            "loss-curves: the paper's figure 13 has no published values; `ditlab figures STUDY` "
            "draws it "
            "from your own runs"
        )
    chosen, left_out = one_design(source.runs)
    return loss_curves.loss_curves(
        chosen,
        source.metrics,
        left_out=left_out,
        of=source.runs["run_id"].nunique(),
        provenance=_provenance(source, source.metrics),
    )


def _samples(source: Source, mix: bool) -> Figure:
    return _grid(source, guided=False)


def _guided(source: Source, mix: bool) -> Figure:
    return _grid(source, guided=True)


def _grid(source: Source, guided: bool) -> Figure:
    name = "guided-samples" if guided else "sample-grid"
    if source.is_published:
        raise UserError(
            f"{name}: the paper's pictures are not part of this project; `ditlab figures STUDY` "
            "draws it "
            "from your own samples"
        )
    rows = source.results
    rows = rows[rows["eval_id"].isin(set(source.pictures))] if "eval_id" in rows else rows.iloc[:0]
    rows = rows[(rows["guidance"] > 1.0) if guided else (rows["guidance"] == 1.0)]
    if rows.empty:
        what = "`guidance: [1.5]`" if guided else "`guidance: 1.0`"
        raise UserError(
            f"{name}: no pictures of such samples; write {what} in `evaluate:` and `ditlab run "
            f"{source.name}` (nothing is trained again)"
        )
    column = "guidance" if guided and rows["guidance"].nunique() > 1 else "patch"
    points = final_points(rows, source.metric, keep=("guidance",) if column == "guidance" else ())
    grids = sample_grid.grids_of(points.frame, source.pictures, column)
    title = "Guided samples" if guided else "Samples"
    return sample_grid.sample_grid(
        grids,
        title=title,
        footer=points.footer,
        columns=column,
        rows="model size" if column == "patch" else "model",
        provenance=_provenance(source, points.frame),
    )


_DRAW: dict[str, Draw] = {
    "bubbles": _bubbles,
    "conditioning": _conditioning,
    "size-patch": _size_patch,
    "sample-grid": _samples,
    "gmacs-quality": _gmacs,
    "training-compute": _training,
    "sampling-compute": _sampling,
    "guided-samples": _guided,
    "other-metrics": _others,
    "loss-curves": _losses,
}
assert set(_DRAW) == set(FIGURES)
