"""What figures, claims, fits and the report read: one study's tables, or the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from analysis.published import numbers as published
from analysis.published.commit import published_commit
from analysis.select.join import RUN_COLUMNS, join
from analysis.select.points import select
from dit_core.errors import UserError
from dit_core.records.measured import reading_store
from dit_core.records.paths import Store

PUBLISHED = "published"
LOSS = "loss"  # what stands for quality in a study without evaluations
_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """The tables of one study.

    `results` has one row per evaluation with its run's columns, and one row per run that has no
    evaluation.
    """

    name: str
    title: str
    results: pd.DataFrame
    runs: pd.DataFrame
    metrics: pd.DataFrame
    metric: str
    pictures: dict[str, Path] = field(default_factory=dict)
    commit: str | None = None
    question: str = ""
    root: Path | None = None
    """The results folder, whose other studies tell the noise too; None where there is none."""
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def is_published(self) -> bool:
        """Whether this is the paper's numbers."""
        return self.name == PUBLISHED

    def once(self, key: str, make: Callable[[], _T]) -> _T:
        """Return what `make` makes, made on the first call with this key alone."""
        if key not in self._made:
            self._made[key] = make()
        made: _T = self._made[key]
        return made

    def elsewhere(self) -> pd.DataFrame:
        """Return the evaluations of the results folder's runs that are not of this study."""
        return self.once("elsewhere", lambda: _elsewhere(self))


def _elsewhere(source: Source) -> pd.DataFrame:
    if source.root is None:
        return pd.DataFrame()
    return _plain(rows_elsewhere(source.root, source.runs["run_id"]))


def rows_elsewhere(root: Path, runs: pd.Series) -> pd.DataFrame:
    """Return the evaluations of all runs of a results folder but those given."""
    from analysis.tables import load

    known = set(runs)
    if known.issuperset(load.sql("SELECT run_id FROM runs", root)["run_id"]):
        return pd.DataFrame()
    rows = load.results(root)
    return rows[~rows["run_id"].isin(known)]


def open_source(
    name: str,
    results: Path | str | None = None,
    metric: str | None = None,
    where: dict[str, Any] | None = None,
) -> Source:
    """Return the source called `name`: "published", or a study in the results folder.

    `where` keeps only the rows it selects. Raises UserError on an unknown study, column or value.
    """
    source = published_source() if name == PUBLISHED else study_source(name, results, metric)
    if metric and source.is_published and metric != source.metric:
        source = replace(source, metric=metric)
    return narrowed(source, where) if where else source


def narrowed(source: Source, where: dict[str, Any]) -> Source:
    """Return the source with the rows that `where` selects, and their runs and curves."""
    results = select(source.results, where)
    kept = set(results["run_id"])
    runs, metrics = (t[t["run_id"].isin(kept)] for t in (source.runs, source.metrics))
    return replace(source, results=results, runs=runs, metrics=metrics)


def published_source() -> Source:
    """Return the paper's numbers: tables 2 and 4, figures 5, 6, 9 and 10, as one table."""
    table = published.points()
    curves = published.curves().assign(table=lambda t: "figure" + t["figure"].astype(str))
    sampling = published.sampling().assign(table="figure10")
    systems = published.systems(256).assign(table="table2", resolution=256)
    rows = pd.concat([table, curves, sampling, systems], ignore_index=True)
    rows["study"] = PUBLISHED
    rows["outcome"] = "DONE"
    rows["eval_id"] = [f"published-{i:04d}" for i in range(len(rows))]
    columns = [c for c in RUN_COLUMNS if c in rows.columns and c != "train_flops"]
    rows["run_id"] = rows["run_id"].fillna("published:" + rows["name"])
    runs = rows.drop_duplicates("run_id")[columns]
    no_curves = {"run_id": "str", "images": "float64", "loss": "float64"}
    return Source(
        name=PUBLISHED,
        title="The paper's published numbers",
        results=rows,
        runs=runs.reset_index(drop=True),
        metrics=pd.DataFrame({c: pd.Series(dtype=kind) for c, kind in no_curves.items()}),
        metric="fid",
        commit=published_commit(),
        question="Does quality follow forward compute? (arXiv 2212.09748)",
    )


def study_source(name: str, results: Path | str | None = None, metric: str | None = None) -> Source:
    """Return a study's tables; a planned run that has not started is a row without values."""
    from analysis.tables import load

    store = reading_store(name, Store.at(results))
    runs = _with_planned(load.runs(store.root, name), store, name)
    evals = load.evals(store.root, name)
    chosen = metric or (main_metric(evals) if len(evals) else LOSS)
    commits = sorted({str(c) for c in evals["commit"].dropna()}) if "commit" in evals else []
    return Source(
        name=name,
        title=f"Study {name}",
        results=join(_plain(runs), _plain(evals)),
        runs=_plain(runs),
        metrics=_plain(load.metrics(store.root, name)),
        metric=chosen,
        pictures=_pictures(store, evals),
        commit="+".join(c[:10] for c in commits) or None,
        question=_question(store, name),
        root=store.root,
    )


def _pictures(store: Store, evals: pd.DataFrame) -> dict[str, Path]:
    """Return {evaluation: picture of its samples} where there is one."""
    found = {}
    for run, evaluation in zip(evals["run_id"], evals["eval_id"], strict=True):
        path = store.run(run).evals / f"{evaluation}.png"
        if path.is_file():
            found[evaluation] = path
    return found


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with nullable integers as floats and NaN, for arithmetic and plotting."""
    wide = {c: "float64" for c, t in frame.dtypes.items() if isinstance(t, pd.Int64Dtype)}
    return frame.astype(wide) if wide else frame


def _with_planned(runs: pd.DataFrame, store: Store, name: str) -> pd.DataFrame:
    from analysis.tables.extract import science_values
    from dit_core.records.plan import read_plan
    from dit_core.study.science.ids import canonical

    have = set(runs["run_id"])
    rows = [
        {
            "run_id": run.run_id,
            "study": name,
            "name": run.name,
            **science_values(canonical(run.science)),
        }
        for run in read_plan(store, name)
        if run.run_id not in have
    ]
    return pd.concat([runs, pd.DataFrame(rows)], ignore_index=True) if rows else runs


def _question(store: Store, name: str) -> str:
    from dit_core.errors import DitlabError
    from dit_core.study.language.spec import load_study

    try:
        return load_study(store.study_yaml(name)).question
    except (DitlabError, OSError):
        return ""  # an older or extended study file: the report says the question is not recorded


def main_metric(evals: pd.DataFrame) -> str:
    """Return the main metric of the most common protocol.

    Raises UserError where nothing was measured.
    """
    from dit_core.study.catalogue.protocols import PROTOCOLS

    if "protocol" not in evals or evals["protocol"].dropna().empty:
        raise UserError(
            "no evaluation is recorded yet; `ditlab run STUDY` trains and evaluates, "
            "`ditlab status STUDY` shows the progress"
        )
    common = str(evals["protocol"].mode().iloc[0])
    if common in PROTOCOLS:
        return PROTOCOLS[common].main
    have = [c for c in ("fid", "fd_digits") if c in evals and evals[c].notna().any()]
    return have[0] if have else "fid"
