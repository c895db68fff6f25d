"""The rows a claim is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.claims.spikes import final_loss, loss_spikes
from analysis.select.points import at_the_end, main_setting, one_protocol
from analysis.select.source import Source
from dit_core.errors import UserError, nearest
from dit_core.evaluate.protocol.protocols import PROTOCOLS
from dit_core.study.science.claim import OF_RUNS, Claim

_EVERY_POINT = ("images_seen", "train_flops")


class NotYetError(Exception):
    """What a claim speaks of is planned but not measured: the claim is undecided, with this
    reason.
    """


@dataclass(frozen=True)
class Rows:
    """The rows of a claim; `setting` is how those were sampled where the claim does not say.

    `unfinished` counts the runs that the claim is about and that are planned, or still train, or
    lack the metric.
    """

    frame: pd.DataFrame
    metric: str
    setting: str = ""
    unfinished: int = 0


def rows_of(
    claim: Claim, source: Source, keep: tuple[str, ...] = (), where: dict[str, Any] | None = None
) -> Rows:
    """Return the measured rows a claim is about: one per run and, for columns in `keep`, per value.

    The latest training point counts unless the claim names one or runs along training. Raises
    UserError where the claim names a metric, column or run that does not exist, or rows of two
    protocols; NotYetError where they are planned but not measured.
    """
    chosen = {**claim.where, **(where or {})}
    frame = _table(claim.metric, source)
    for column, value in chosen.items():
        frame = _narrow(frame, column, value, claim, source)
    have = frame[frame[claim.metric].notna()]
    open_ = _open_runs(claim, source, chosen, have)
    if not {*chosen, *keep} & set(_EVERY_POINT):
        have = have[
            ~have["run_id"].isin(open_)
        ]  # an earlier training point of a run is not its result
    unfinished = len(open_)
    if have.empty and claim.metric in OF_RUNS and not unfinished:
        raise NotYetError(
            f"no {claim.metric} can be told of these runs: their curves are too short, or missing"
        )
    if have.empty:
        raise NotYetError(
            f"no {claim.metric} is recorded for these rows yet; `ditlab run {source.name}` makes "
            "them"
        )
    if claim.metric not in OF_RUNS:
        one_protocol(have, claim.metric)
    return replace(_one_setting(have, claim.metric, {*chosen, *keep}), unfinished=unfinished)


def _open_runs(
    claim: Claim, source: Source, chosen: dict[str, Any], have: pd.DataFrame
) -> set[str]:
    """Return the runs that the claim is about and that have no outcome yet, or not yet what it
    judges.

    A run that ended as DIVERGED or FAILED is not among them: there is nothing more to come.
    """
    runs = source.runs
    if source.is_published or "outcome" not in runs:
        return set()
    for column, value in chosen.items():
        if column in runs.columns and column not in _EVERY_POINT:
            runs = _narrow(runs, column, value, claim, source)
    if runs.empty:
        return set()
    open_ = runs["outcome"].isna()
    if claim.metric not in OF_RUNS and "planned_evals" in runs:
        made = source.results.groupby("run_id")["eval_id"].count()
        behind = runs["run_id"].map(made).fillna(0) < runs["planned_evals"].astype(float)
        open_ |= (
            (runs["outcome"] == "DONE") & behind & ~_measured(runs, have, "images_seen" in chosen)
        )
    return set(runs.loc[open_, "run_id"])


def _measured(runs: pd.DataFrame, have: pd.DataFrame, at_a_point: bool) -> pd.Series:
    """Return whether each run has a row: at its end, which is what counts where the claim names no
    training point.
    """
    there = runs["run_id"].isin(set(have["run_id"]))
    if at_a_point or "images_seen" not in runs or "images_seen" not in have:
        return there
    latest = runs["run_id"].map(have.groupby("run_id")["images_seen"].max())
    return there & ~(latest < runs["images_seen"].astype(float))


def _table(metric: str, source: Source) -> pd.DataFrame:
    if metric in OF_RUNS:
        made = loss_spikes if metric == "loss_spikes" else final_loss
        values = made(source.metrics) if len(source.metrics) else pd.Series(dtype=float)
        if source.is_published:
            raise NotYetError("no training curve is published")
        found = source.runs["run_id"].map(values)
        ended = source.runs["outcome"].notna() if "outcome" in source.runs else True
        return source.runs.assign(
            **{metric: found.where(ended)}
        )  # what a curve ends in is known when it has ended
    if metric not in source.results.columns and not source.is_published:
        measuring = [name for name, protocol in PROTOCOLS.items() if metric in protocol.metrics]
        if measuring:
            raise NotYetError(
                f"no evaluation of {source.name} measures {metric}; these protocols do, under "
                f"`evaluate:`: {', '.join(measuring)}"
            )
    if metric not in source.results.columns:
        known = _metrics(source.results)
        raise UserError(
            f"unknown metric {metric!r}{nearest(metric, known)}; metrics in the records: "
            f"{', '.join(known) or 'none'}, "
            f"and of the training curve {', '.join(OF_RUNS)}; another needs a protocol that "
            "measures it in `evaluate:`"
        )
    return source.results


def _metrics(frame: pd.DataFrame) -> list[str]:
    known = [
        c for c in ("fid", "fd_digits", "sfid", "is", "precision", "recall", "kid") if c in frame
    ]
    return sorted({*known, *(c.removesuffix("_low") for c in frame.columns if c.endswith("_low"))})


def _narrow(
    frame: pd.DataFrame, column: str, value: Any, claim: Claim, source: Source
) -> pd.DataFrame:
    if column not in frame.columns:
        raise UserError(
            f"claim {claim.id!r}: {source.name} has no column "
            f"{column!r}{nearest(column, frame.columns)}"
        )
    wanted = list(value) if isinstance(value, tuple | list) else [value]
    have = [v.item() if hasattr(v, "item") else v for v in frame[column].dropna().unique()]
    missing = [v for v in wanted if v is not None and v not in have]
    of_runs = (
        column in source.runs.columns and column not in _EVERY_POINT
    )  # a run's own are those of its end
    if missing and of_runs and missing[0] not in set(source.runs[column].dropna()):
        shown = ", ".join(map(str, have[:10])) or "none"
        raise UserError(
            f"claim {claim.id!r}: no run of {source.name} has {column} = {missing[0]!r}"
            f"{nearest(str(missing[0]), map(str, have))}; it has {shown}: put it under `axes:` or "
            f"`include:` and `ditlab run {source.name}`"
        )
    if missing and of_runs:
        raise NotYetError(
            f"no run with {column} = {missing[0]!r} is measured yet; `ditlab run {source.name}` "
            "goes on"
        )
    if missing:
        raise NotYetError(
            f"no evaluation with {column} = {missing[0]!r} yet; where it is not planned, put it "
            "under "
            f"`evaluate:`, then `ditlab run {source.name}` (nothing is trained again)"
        )
    chosen = frame[column].isin([v for v in wanted if v is not None])
    return frame[chosen | frame[column].isna() if None in wanted else chosen]


def _one_setting(rows: pd.DataFrame, metric: str, free: set[str]) -> Rows:
    said = []
    if metric not in OF_RUNS:
        for column, value in main_setting(rows, metric).items():
            if column not in free and rows[column].nunique(dropna=False) > 1:
                rows = rows[rows[column].isna() if pd.isna(value) else rows[column] == value]
                said.append(
                    f"{column} {value:g}" if isinstance(value, float | int) else f"{column} {value}"
                )
    if not free & set(_EVERY_POINT) and "images_seen" in rows and metric not in OF_RUNS:
        rows, early = at_the_end(rows)
        said += [f"{early} measured at an earlier training point only"] if early else []
    return Rows(rows.reset_index(drop=True), metric, ", ".join(said))
