"""What `ditlab run` ends with: short lines, every run counted, the claims and what to do next."""

from __future__ import annotations

import pandas as pd
import pytest
from study_frames import own_runs
from synthetic_store import fill

from analysis.report import closing
from analysis.report.summary import correlation_lines, write_summary
from dit_core.records.paths import Store
from dit_core.records.plan import read_plan

CLAIMS = """
study: made
question: Does it?
base: {model: {size: XXXS}, train: {duration: 100 steps}}
evaluate: [{protocol: digits}]
claims:
  - {id: low, kind: threshold, text: Low., metric: fd_digits, at_most: 1.0e9, tolerance: 1}
  - {id: none, kind: threshold, text: None., metric: fd_digits, at_most: 0, tolerance: 0.001}
  - {id: typo, kind: threshold, text: Wrong., metric: fd_digts, at_most: 1, tolerance: 1}
"""


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DITLAB_RESULTS", raising=False)
    made = Store.at(None)
    fill(made, 12, points=2, evals=1)
    return made


def said(store: Store, study: str) -> list[str]:
    lines: list[str] = []
    write_summary(store, study, lines.append)
    return lines


def test_the_correlation_is_said_in_short_lines_that_count_every_run():
    frame = own_runs(1)
    other = frame[frame["run_id"] == "XS20"].assign(
        run_id="other", conditioning="in-context", fd_digits=500.0
    )
    first, second = correlation_lines(pd.concat([frame, other]), "fd_digits")
    assert first.startswith("fd_digits against log10 Gflops: r = \N{MINUS SIGN}0.9")
    assert first.endswith("), 9 models")
    assert second == "9 of 10 runs; 1 with another conditioning not drawn"
    long = correlation_lines(
        frame.rename(columns=lambda c: c.replace("fd_digits", "m" * 40)), "m" * 40
    )
    assert max(map(len, long)) <= 80


def test_last_words_are_kept_while_the_records_are_the_same(store):
    (name,) = [p.name for p in (store.root / "studies").iterdir()]
    lines = said(store, name)
    assert lines[-1] == f"next:   `ditlab report {name}`"
    assert not any(line.startswith("claims") for line in lines)
    (store.study(name) / "study.yaml").write_text(CLAIMS)
    runs = read_plan(store, name)
    table = store.study(name) / "report/results.csv"
    state = closing.state_of(store, name, runs)
    assert closing.recall(store, name, state) is None
    words = closing.LastWords(tuple(lines), (table,))
    closing.keep(store, name, state, words)
    assert closing.recall(store, name, closing.state_of(store, name, runs)) == words
    for change in (
        lambda: (store.study(name) / "study.yaml").write_text(CLAIMS + " "),
        lambda: next(store.runs.glob("*/*/evals/*.json")).touch(),
    ):
        state = closing.state_of(store, name, runs)
        closing.keep(store, name, state, words)
        change()
        assert closing.state_of(store, name, runs) != state
    closing.keep(store, name, state := closing.state_of(store, name, runs), words)
    table.unlink()
    assert closing.recall(store, name, state) is None
    (store.study(name) / "report/last-words.json").write_text("{")
    assert closing.recall(store, name, state) is None


@pytest.mark.slow
def test_the_claims_are_counted_before_the_report(store):
    (name,) = [p.name for p in (store.root / "studies").iterdir()]
    (store.study(name) / "study.yaml").write_text(CLAIMS)
    lines = said(store, name)
    assert (
        lines[-2]
        == f"claims: 1 supported, 1 refuted, 0 undecided, 1 not judged: `ditlab claims {name}`"
    )
    assert max(map(len, lines)) <= 80
