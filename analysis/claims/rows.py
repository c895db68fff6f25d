"""The rows a claim is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import pandas as pd

from analysis.claims.spikes import final_loss, loss_spikes
from analysis.select.configuration import config_key
from analysis.select.points import at_the_end, main_setting, one_protocol
from analysis.select.source import Source
from dit_core.errors import UserError, nearest
from dit_core.study.catalogue.metrics import METRICS
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.science.claim import OF_RUNS, Selection, Statement

CONFIGURATION = "_configuration"  # one word per row, equal for the seeds of one configuration
_EVERY_POINT = ("images_seen", "train_flops")  # columns that have a value per training point


class NotYetError(Exception):
    """What a claim is about is planned but not measured: it is undecided, with this reason."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a claim."""

    frame: pd.DataFrame
    setting: str = ""
    """How the rows were sampled where the claim does not say."""
    unfinished: int = 0
    """Runs that the claim is about and that are planned, still train, or lack the metric."""


def rows_of(
    claim: Statement,
    source: Source,
    keep: tuple[str, ...] = (),
    where: Selection | None = None,
) -> Rows:
    """Return the measured rows a claim is about: one per run and per value of the columns `keep`.

    The latest training point counts unless the claim names one or runs along training. Raises
    UserError where the claim names a metric, column or run that does not exist, or rows of two
    protocols; NotYetError where they are planned but not measured.
    """
    chosen = {**claim.where, **(where or {})}
    free = {*chosen, *keep}
    frame = measured_table(claim.metric, source)
    for column, value in chosen.items():
        frame = _narrow(frame, column, value, claim, source)
    have = frame[frame[claim.metric].notna()]
    unfinished = _unfinished(claim, source, chosen, have)
    if not free & set(_EVERY_POINT):
        # An earlier training point of an unfinished run is not its result.
        have = have[~have["run_id"].isin(unfinished)]
    if have.empty:
        raise NotYetError(_why_empty(claim, source, unfinished))
    if claim.metric in OF_RUNS:
        return Rows(have.reset_index(drop=True), unfinished=len(unfinished))
    one_protocol(have, claim.metric)
    rows, setting = _one_setting(have, claim.metric, free)
    return Rows(rows.reset_index(drop=True), setting, len(unfinished))


def _why_empty(claim: Statement, source: Source, unfinished: set[str]) -> str:
    if claim.metric in OF_RUNS and not unfinished:
        return f"{claim.metric} of these runs is unknown: their curves are too short, or missing"
    return (
        f"no {claim.metric} is recorded for these rows yet; `ditlab run {source.name}` makes them"
    )


def _unfinished(
    claim: Statement, source: Source, chosen: Selection, have: pd.DataFrame
) -> set[str]:
    """Return the runs that the claim is about and that lack an outcome, or what it judges.

    A run that ended as DIVERGED or FAILED is not among them: nothing more is to come.
    """
    runs = source.runs
    if source.is_published or "outcome" not in runs:
        return set()
    for column, value in chosen.items():
        if column in runs.columns and column not in _EVERY_POINT:
            runs = _narrow(runs, column, value, claim, source)
    if runs.empty:
        return set()
    unfinished = runs["outcome"].isna()
    if claim.metric not in OF_RUNS and "planned_evals" in runs:
        made = source.results.groupby("run_id")["eval_id"].count()
        behind = runs["run_id"].map(made).fillna(0) < runs["planned_evals"].astype(float)
        lacking = ~_measured(runs, have, "images_seen" in chosen)
        unfinished |= (runs["outcome"] == "DONE") & behind & lacking
    return set(runs.loc[unfinished, "run_id"])


def _measured(runs: pd.DataFrame, have: pd.DataFrame, at_a_point: bool) -> pd.Series:
    """Return whether each run has a row that counts: at its end, unless the claim names a point."""
    there = runs["run_id"].isin(set(have["run_id"]))
    if at_a_point or "images_seen" not in runs or "images_seen" not in have:
        return there
    latest = runs["run_id"].map(have.groupby("run_id")["images_seen"].max())
    return there & ~(latest < runs["images_seen"].astype(float))


def measured_table(metric: str, source: Source) -> pd.DataFrame:
    """Return the rows that may hold a metric: runs for one of the training curve, else results."""
    if metric in OF_RUNS:
        return _with_curve_metric(metric, source)
    if metric in source.results.columns:
        return source.once("results with configurations", lambda: _named(source.results))
    measuring = [name for name, protocol in PROTOCOLS.items() if metric in protocol.metrics]
    if measuring and not source.is_published:
        raise NotYetError(
            f"no evaluation of {source.name} measures {metric}; these protocols do, under "
            f"`evaluate:`: {', '.join(measuring)}"
        )
    known = _metrics(source.results)
    raise UserError(
        f"unknown metric {metric!r}{nearest(metric, known)}; metrics in the records: "
        f"{', '.join(known) or 'none'}, and of the training curve {', '.join(OF_RUNS)}; another "
        "needs a protocol that measures it in `evaluate:`"
    )


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{CONFIGURATION: config_key(rows)})


def _with_curve_metric(metric: str, source: Source) -> pd.DataFrame:
    """Return the runs with a metric of their training curve, known once the run has ended."""
    if source.is_published:
        raise NotYetError("no training curve is published")
    return source.once(f"runs with {metric}", lambda: _of_curves(metric, source))


def _of_curves(metric: str, source: Source) -> pd.DataFrame:
    of_curves = loss_spikes if metric == "loss_spikes" else final_loss
    values = of_curves(source.metrics) if len(source.metrics) else pd.Series(dtype=float)
    found = source.runs["run_id"].map(values)
    if "outcome" in source.runs:
        found = found.where(source.runs["outcome"].notna())
    return _named(source.runs.assign(**{metric: found}))


def _metrics(frame: pd.DataFrame) -> list[str]:
    known = [name for name in METRICS if name in frame]
    return sorted({*known, *(c.removesuffix("_low") for c in frame.columns if c.endswith("_low"))})


def _narrow(
    frame: pd.DataFrame, column: str, value: Any, claim: Statement, source: Source
) -> pd.DataFrame:
    """Return the rows with one of the values given; null selects the rows without a value."""
    if column not in frame.columns:
        raise UserError(
            f"claim {claim.id!r}: {source.name} has no column "
            f"{column!r}{nearest(column, frame.columns)}"
        )
    wanted = list(value) if isinstance(value, tuple | list) else [value]
    some = [v for v in wanted if v is not None]
    have = [v.item() if hasattr(v, "item") else v for v in frame[column].dropna().unique()]
    for one in some:
        if one not in have:
            _refuse(column, one, have, claim, source)
    chosen = frame[column].isin(some)
    if None in wanted:
        chosen |= frame[column].isna()
    return frame[chosen]


def _refuse(column: str, value: Any, have: list[Any], claim: Statement, source: Source) -> NoReturn:
    """Raise UserError for a value that no run has, NotYetError for one that is not measured yet."""
    # Columns with a value per training point describe an evaluation, not the run.
    is_of_runs = column in source.runs.columns and column not in _EVERY_POINT
    if not is_of_runs:
        raise NotYetError(
            f"no evaluation with {column} = {value!r} yet; where it is not planned, put it under "
            f"`evaluate:`, then `ditlab run {source.name}` (nothing is trained again)"
        )
    if value in set(source.runs[column].dropna()):
        raise NotYetError(
            f"no run with {column} = {value!r} is measured yet; `ditlab run {source.name}` resumes"
        )
    shown = ", ".join(map(str, have[:10])) or "none"
    raise UserError(
        f"claim {claim.id!r}: no run of {source.name} has {column} = {value!r}"
        f"{nearest(str(value), map(str, have))}; it has {shown}: put it under `axes:` or "
        f"`include:` and `ditlab run {source.name}`"
    )


def _one_setting(rows: pd.DataFrame, metric: str, free: set[str]) -> tuple[pd.DataFrame, str]:
    """Return the rows of one way of sampling, and what was chosen in columns not in `free`."""
    said = []
    for column, value in main_setting(rows, metric).items():
        if column in free or rows[column].nunique(dropna=False) < 2:
            continue
        rows = rows[rows[column].isna() if pd.isna(value) else rows[column] == value]
        text = f"{value:g}" if isinstance(value, float | int) else str(value)
        said.append(f"{column} {text}")
    if not free & set(_EVERY_POINT) and "images_seen" in rows:
        rows, early = at_the_end(rows)
        if early:
            said.append(f"{early} measured at an earlier training point only")
    return rows, ", ".join(said)
