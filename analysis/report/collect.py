"""What a report shows, gathered from a source: plain values only, ready for the template."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.claims.finding import Finding
from analysis.claims.judge import Judgement, judge, judgement_of
from analysis.figures import catalogue, style
from analysis.figures.provenance import table_hash
from analysis.laws.all_laws import fit_all
from analysis.laws.words import answer as words_of
from analysis.published import numbers as published
from analysis.report.cost import cost_rows
from analysis.select.configuration import config_names
from analysis.select.points import final_points
from analysis.select.source import Source
from dit_core import __version__
from dit_core.errors import UserError
from dit_core.study.catalogue.figures import FIGURES
from dit_core.study.catalogue.metrics import METRICS
from dit_core.study.science.claim_kinds import Claim

CURVE_POINTS = (
    40_000  # in all; a curve is thinned so that a page of a thousand runs stays small and quick
)
FIGURE_BYTES = 700_000
GRIDS = 12
GRID_BYTES = 1_200_000  # of all grids together
COLUMNS: tuple[tuple[str, str, bool], ...] = (  # column, heading, numeric
    ("name", "run", False),
    ("model_size", "size", False),
    ("patch", "patch", True),
    ("conditioning", "conditioning", False),
    ("objective", "objective", False),
    ("seed", "seed", True),
    ("params", "params", True),
    ("fwd_gmacs", "Gflops (MACs)", True),
    ("images_seen", "images seen", True),
    ("sampler", "sampler", False),
    ("steps", "steps", True),
    ("guidance", "guidance", True),
    ("protocol", "protocol", False),
)


@dataclass
class Page:
    """All that the template prints."""

    name: str
    title: str
    question: str
    answer: list[str]
    claims: list[Judgement]
    figures: list[dict[str, str]]
    missing: list[str]
    columns: list[dict[str, Any]]
    rows: list[list[dict[str, str]]]
    curves: dict[str, Any]
    grids: list[dict[str, str]]
    cost: list[dict[str, str]]
    failures: list[dict[str, str]]
    commands: list[str]
    provenance: list[tuple[str, str]]
    progress: str
    done: bool
    notes: list[str] = field(default_factory=list)


def collect(
    source: Source,
    claims: tuple[Claim, ...] = (),
    commands: tuple[str, ...] = (),
    mix: bool = False,
) -> Page:
    """Return the page of a study; `missing` and `notes` name what its results do not allow."""
    notes: list[str] = []
    answer: list[str] = []
    try:
        answer = words_of(fit_all(source, mix))
    except UserError as error:
        notes.append(str(error))
    figures, missing = _figures(source, mix)
    columns, rows = _rows(source)
    total = len(source.runs)
    finished = int(source.runs["outcome"].notna().sum())
    measured = source.results.loc[_values(source).notna(), "run_id"].nunique()
    return Page(
        name=source.name,
        title=source.title,
        question=source.question,
        answer=answer,
        claims=[_judge(claim, source) for claim in claims],
        figures=figures,
        missing=missing,
        columns=columns,
        rows=rows,
        curves=_curves(source),
        grids=_grids(source),
        cost=cost_rows(source),
        failures=_failures(source),
        commands=list(commands),
        provenance=_provenance(source),
        progress=f"{finished} of {total} runs finished, {measured} of {total} measured",
        done=finished == total,
        notes=notes,
    )


def _judge(claim: Claim, source: Source) -> Judgement:
    try:
        return judge(claim, source)
    except UserError as error:
        return judgement_of(claim, Finding("UNDECIDED", reason=str(error)))


def _values(source: Source) -> pd.Series:
    rows = source.results
    return (
        rows[source.metric] if source.metric in rows else pd.Series(float("nan"), index=rows.index)
    )


def _place(name: str) -> tuple[bool, bool, int]:
    """Return a figure's place on the page: gmacs-quality, the paper's by number, then the rest."""
    number = FIGURES[name].number
    return name != "gmacs-quality", number is None, number or 0


def _figures(source: Source, mix: bool) -> tuple[list[dict[str, str]], list[str]]:
    drawn = []
    missing = []
    for name in sorted(FIGURES, key=_place):
        try:
            fig = catalogue.draw(name, source, mix)
        except UserError as error:
            missing.append(str(error))
            continue
        number = FIGURES[name].number
        what = FIGURES[name].shows
        paper = "" if number is None else f" (as the paper's figure {number})"
        drawn.append(
            {
                "id": f"figure-{name}",
                "alt": f"{what}; the table of results holds its numbers",
                "caption": f"{what[:1].upper()}{what[1:]}{paper}.",
                "data": _picture(fig),
            }
        )
    return drawn, missing


def _picture(fig: Any) -> str:
    """Return a figure as a data address: SVG, or PNG where the SVG would be large.

    The figure is closed.
    """
    svg = io.BytesIO()
    fig.savefig(svg, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    kind = "image/svg+xml"
    data = svg.getvalue()
    if len(data) > FIGURE_BYTES:
        png = io.BytesIO()
        fig.savefig(png, format="png", dpi=160, metadata={"Software": None}, facecolor="white")
        kind = "image/png"
        data = png.getvalue()
    style.close(fig)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _rows(source: Source) -> tuple[list[dict[str, Any]], list[list[dict[str, str]]]]:
    """Return headings and cells of the table of results: what is shown and what is sorted by."""
    frame = source.results
    further = sorted(
        (m for m in METRICS.values() if m.report_column), key=lambda m: m.report_column
    )
    metrics = [
        source.metric,
        *(m.name for m in further if m.name in frame and m.name != source.metric),
    ]
    described = [c for c in COLUMNS if c[0] in frame and frame[c[0]].notna().any()]
    spans = [
        (f"{source.metric}_{end}", end, True)
        for end in ("low", "high")
        if f"{source.metric}_{end}" in frame
    ]
    chosen = described[:1] + [(m, m, True) for m in metrics[:1] if m in frame] + spans
    chosen += [("outcome", "outcome", False), *described[1:], *((m, m, True) for m in metrics[1:])]
    chosen.append(("run_id", "run id", False))
    if "fwd_gmacs" in frame:
        frame = frame.sort_values(["fwd_gmacs", "run_id"], kind="stable")
    rows = [
        [_cell(row[name], number) for name, _, number in chosen] for row in frame.to_dict("records")
    ]
    return [{"heading": heading, "number": number} for _, heading, number in chosen], rows


def _cell(value: Any, number: bool) -> dict[str, str]:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return {"text": "-", "key": ""}
    if number:
        return {"text": _short(float(value)), "key": f"{float(value):.12g}"}
    return {"text": _one_line(value), "key": _one_line(value)}


def _one_line(value: Any, longest: int = 80) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _curves(source: Source) -> dict[str, Any]:
    """Return the training curves for the page's own drawing: thinned, missing values as null."""
    table = source.metrics
    if table.empty or "loss" not in table:
        return {"runs": []}
    names = source.runs.drop_duplicates("run_id").set_index("run_id")
    groups = list(table.sort_values("images").groupby("run_id"))
    each = max(12, CURVE_POINTS // max(1, len(groups)))
    runs = []
    for run_id, rows in groups:
        if run_id not in names.index:
            continue
        run = names.loc[run_id]
        thin = rows.iloc[:: max(1, -(-len(rows) // each))]
        loss = [
            None if not math.isfinite(v) else float(f"{v:.4g}") for v in thin["loss"].astype(float)
        ]
        runs.append(
            {
                "id": str(run_id),
                "name": _one_line(run["name"], 60),
                "x": [int(v) for v in thin["images"]],
                "y": loss,
            }
        )
    return {"runs": runs}


def _grids(source: Source) -> list[dict[str, str]]:
    """Return pictures of samples, of the smallest to the largest model, as long as they fit."""
    if not source.pictures:
        return []
    try:
        frame = final_points(source.results, source.metric).frame
    except UserError:
        return []
    frame = frame[frame["eval_id"].isin(set(source.pictures))]
    frame = (
        frame.assign(_name=config_names(frame)).drop_duplicates("_name").sort_values("fwd_gmacs")
    )
    frame = frame.iloc[:: max(1, -(-len(frame) // GRIDS))]
    found = []
    total = 0
    for _, row in frame.iterrows():
        data = source.pictures[row["eval_id"]].read_bytes()
        total += len(data)
        if total > GRID_BYTES:
            break
        label = _one_line(row["_name"], 40)
        value = f"{source.metric} {row[source.metric]:.3g}"
        address = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        words = {
            "caption": f"{label}: {value}",
            "alt": f"grid of samples of model {label}, {value}",
        }
        found.append({"data": address, **words})
    return found


def _failures(source: Source) -> list[dict[str, str]]:
    runs = source.runs
    bad = runs[runs["outcome"].isin(("FAILED", "DIVERGED"))]
    return [
        {
            "name": _one_line(r["name"]),
            "outcome": str(r["outcome"]),
            "run_id": str(r["run_id"]),
            "reason": _one_line(r.get("reason") or "not recorded", 300),
        }
        for r in bad.to_dict("records")
    ]


def _provenance(source: Source) -> list[tuple[str, str]]:
    rows = source.results
    found = [("table of results, sha256", table_hash(rows))]
    for column, what in (("protocol", "protocols"), ("device", "devices"), ("host", "hosts")):
        if column in rows and rows[column].notna().any():
            found.append(
                (what, ", ".join(sorted({_one_line(v, 120) for v in rows[column].dropna()})))
            )
    if source.commit:
        found.append(("commit of the numbers", source.commit))
    found += [("published tables, sha256", published.data_hash()), ("ditlab", __version__)]
    return found
