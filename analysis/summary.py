"""What `ditlab run` ends with: the study's results as a table and its first figure, from the records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis import load
from analysis.figures.gmacs_quality import correlation_of, gmacs_quality
from analysis.points import final_points, join, need
from analysis.source import main_metric
from dit_core.errors import UserError
from dit_core.records.paths import Store

COLUMNS = ("name", "run_id", "fwd_gmacs", "params", "images_seen", "sampler", "steps", "guidance")


def write_summary(store: Store, study: str, *, remake: bool, say: Callable[[str], None]) -> list[Path]:
    """Write results.csv, results.md and the Gflops-against-quality figure of a study; return their paths.

    Files that are there are kept unless `remake`. A study whose results do not make a figure yet says why.
    """
    folder = store.study(study) / "report"
    figure, table = folder / "gmacs-quality.png", folder / "results.csv"
    if not remake and figure.exists() and table.exists():
        say(f"figure: {shown(figure)}\ntable:  {shown(table)}")
        return [figure, table]
    evals = load.evals(store.root, study)
    frame = join(load.runs(store.root, study), evals)
    try:
        metric = main_metric(evals)
        need(frame, metric)
    except UserError:
        say("no evaluation has a value yet: no table and no figure")
        return []
    folder.mkdir(parents=True, exist_ok=True)
    results = table_of(frame, _mains(evals, metric))
    results.to_csv(table, index=False)
    written = [table]
    try:
        points = final_points(frame, metric)
        found = correlation_of(points)
        gmacs_quality(frame, metric, title=f"ditlab study {study}").savefig(figure, metadata={"Software": None})
        written.append(figure)
        say(f"Pearson r of log10 Gmacs and {metric}: {found.words()} ({points.n_of_n})")
        say(f"figure: {shown(figure)}")
    except UserError as error:
        say(f"no figure: {error}")
    say(f"table:  {shown(table)}")
    return written


def _mains(evals: pd.DataFrame, metric: str) -> list[str]:
    """Return the main metric of each protocol of a study, that of the figure first."""
    found = [main_metric(rows) for _, rows in evals.groupby("protocol")]
    return list(dict.fromkeys([metric, *found]))


def table_of(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return the evaluations as a table, smallest network first."""
    values = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    columns = [c for c in (*COLUMNS, *values) if c in frame]
    return frame[columns].sort_values(["fwd_gmacs", "name", "images_seen", "steps"], kind="stable")


def shown(path: Path) -> str:
    """Return a path as a person would type it: relative to the current folder where it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
