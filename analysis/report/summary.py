"""What `ditlab run` ends with: results as a table, the first figure, and what to do next."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures.paper.gmacs_quality import correlation_of, gmacs_quality
from analysis.laws.correlation import Correlation
from analysis.select.join import join
from analysis.select.points import final_points, need
from analysis.select.source import main_metric
from analysis.tables import load
from analysis.write.results_csv import write_results
from dit_core.errors import DitlabError, UserError
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from dit_core.study.science.claim_kinds import Claim

WIDTH = 80


def write_summary(store: Store, study: str, say: Callable[[str], None]) -> list[Path]:
    """Write results.csv and the Gflops-against-quality figure of a study; return their paths.

    A study whose results do not make a figure yet says why.
    """
    folder = store.study(study) / "report"
    figure = folder / "gmacs-quality.png"
    table = folder / "results.csv"
    evals = load.evals(store.root, study)
    frame = join(load.runs(store.root, study), evals)
    try:
        metric = main_metric(evals)
        need(frame, metric)
    except UserError:
        say("no evaluation has a value yet: no table and no figure")
        return []
    write_results(table, frame, evals, metric)
    written = [table]
    try:
        lines = correlation_lines(frame, metric)
        gmacs_quality(frame, metric, title=f"ditlab study {study}").savefig(
            figure, metadata={"Software": None}
        )
        written.append(figure)
        lines.append(f"figure: {shown(figure)}")
    except UserError as error:
        lines = [f"no figure: {error}"]
    for line in (*lines, f"table:  {shown(table)}", *_next(store, study)):
        say(line)
    return written


def correlation_lines(frame: pd.DataFrame, metric: str) -> list[str]:
    """Return how the metric follows log10 Gflops, and of how many runs, in a terminal's lines."""
    points = final_points(frame, metric)
    said = (f"{metric} against log10 Gflops: {_in_short(correlation_of(points))}", points.n_of_n)
    return [line for text in said for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ")]


def _in_short(found: Correlation) -> str:
    """Return "r = -0.94 (95 % -0.98 to -0.81), 11 models", or why there is no r."""
    if found.r is None:
        return found.words()
    span = ""
    if found.low is not None and found.high is not None:
        span = f" ({found.level * 100:g} % {found.low:.2f} to {found.high:.2f})"
    return f"r = {found.r:.2f}{span}, {found.n} models".replace("-", "\N{MINUS SIGN}")


def _next(store: Store, study: str) -> Iterator[str]:
    """Yield what to do next: the claims counted, where the study states any, and the report."""
    word = study if store.root == Store.at(None).root else f"{study} --results {shown(store.root)}"
    counted = count_claims(store, study)
    if counted:
        yield f"claims: {counted}: `ditlab claims {word}`"
    yield f"next:   `ditlab report {word}`"


def count_claims(store: Store, study: str) -> str:
    """Return "2 supported, 0 refuted, 4 undecided", or nothing where the study states no claims."""
    from analysis.claims.judge import judge
    from analysis.select.source import open_source

    claims = _claims(store, study)
    if not claims:
        return ""
    source = open_source(study, store.root)
    counts: Counter[str] = Counter()
    for claim in claims:
        try:
            counts[judge(claim, source).verdict] += 1
        except UserError:
            counts["not judged"] += 1  # `ditlab claims` says why
    text = ", ".join(f"{counts[v]} {v.lower()}" for v in ("SUPPORTED", "REFUTED", "UNDECIDED"))
    return text + (f", {counts['not judged']} not judged" if counts["not judged"] else "")


def _claims(store: Store, study: str) -> tuple[Claim, ...]:
    from dit_core.study.language.spec import load_study

    try:
        return load_study(store.study_yaml(study)).claims
    except (DitlabError, OSError):
        return ()  # an older study file, or none


def shown(path: Path) -> str:
    """Return a path as a person would type it: relative to the current folder if it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
