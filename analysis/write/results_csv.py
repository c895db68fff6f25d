"""results.csv of a study: one row per evaluation, smallest network first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.select.source import main_metric

COLUMNS = ("name", "run_id", "fwd_gmacs", "params", "images_seen", "sampler", "steps", "guidance")


def write_results(path: Path, frame: pd.DataFrame, evals: pd.DataFrame, metric: str) -> None:
    """Write the evaluations of `frame`, runs and evaluations joined, with each protocol's metric.

    `metric`, that of the study's figure, comes first. Parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table_of(frame, _mains(evals, metric)).to_csv(path, index=False)


def _mains(evals: pd.DataFrame, metric: str) -> list[str]:
    """Return the main metric of each protocol of a study, that of the figure first."""
    found = [main_metric(rows) for _, rows in evals.groupby("protocol")]
    return list(dict.fromkeys([metric, *found]))


def table_of(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return the evaluations as a table, smallest network first."""
    values = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    columns = [c for c in (*COLUMNS, *values) if c in frame]
    return frame[columns].sort_values(["fwd_gmacs", "name", "images_seen", "steps"], kind="stable")
