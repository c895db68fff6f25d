"""The report as a document: self-contained, escaped, honest about what is missing, small with a
thousand runs.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from study_frames import many, own_runs, stated, study_of

from analysis.claims.judge import judge
from analysis.figures.paper.gmacs_quality import correlation_of
from analysis.laws.all_laws import fit_all
from analysis.published.claims import core_claims
from analysis.report.collect import collect
from analysis.report.render import render, script_json
from analysis.select.points import final_points
from analysis.select.source import published_source
from dit_core.study.science.claim_kinds import parse_claim

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "<!--",
    "]]>",
    "=1+1",
    "a" * 5000,
    "\u202egnp",
    "🙂",
    "'; DROP TABLE runs; --",
]


@pytest.fixture
def no_figures(monkeypatch):
    """Leave the figures out of a page: they have tests of their own and take seconds to draw."""
    monkeypatch.setattr(
        "analysis.report.collect._figures", lambda source, mix: ([], ["not drawn in this test"])
    )


class Reader(HTMLParser):
    """Collects what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "poster"):
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.mark.slow
def test_page_of_a_study_shows_its_claims_with_intervals():
    page = collect(study_of(own_runs()), stated(), ("ditlab run digits",))
    html = render(page)
    assert page.claims[0].verdict == "SUPPORTED"
    assert "Quality &lt;follows&gt; compute" in html
    assert re.search(r'class="interval">−0\.\d+ to −0\.\d+<', html)
    assert (
        "no evaluation of digits measures fid" in html
    )  # a claim that cannot be judged says why, and stops nothing
    assert "18 of 18 runs finished, 18 of 18 measured" in html
    assert "figures could not be drawn" in html
    assert "ditlab run digits" in html


@pytest.mark.slow
def test_nothing_is_fetched_and_only_its_own_script_may_run():
    html = render(collect(study_of(own_runs()), stated()))
    found = read(html)
    assert all(a.startswith(("data:", "#")) for a in found.addresses)
    assert found.handlers == []
    assert found.scripts == 2
    assert not {"iframe", "object", "embed", "form", "base"} & set(found.tags)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith("default-src &#39;none&#39;; img-src data:")
    assert "unsafe" not in policy


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_stay_words(word):
    frame = own_runs(1)
    frame["name"] = word
    frame.loc[0, "protocol"] = word
    frame["protocol"] = frame.loc[0, "protocol"]
    source = study_of(frame, name=word)
    source.runs["outcome"] = "FAILED"
    source.runs["reason"] = word
    losses = pd.DataFrame({"run_id": frame["run_id"].iloc[0], "images": range(10), "loss": 0.5})
    plain = read(render(collect(study_of(own_runs(1)), ())))
    html = render(collect(replace(source, metrics=losses, question=word), (), (word,)))
    found = read(html)
    assert found.scripts == plain.scripts == 2
    assert found.handlers == []
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", html, re.S)[0]
    data = re.search(r'id="data">(.*?)</script>', html, re.S)[1]
    assert json.loads(data)["runs"][0]["name"].startswith(word[:3].strip("\u202e"))


def test_json_cannot_leave_its_element():
    text = script_json({"a": "</script><!--&"})
    assert "<" not in text and "&" not in text  # noqa: PT018
    assert json.loads(text) == {"a": "</script><!--&"}


@pytest.mark.usefixtures("no_figures")
def test_missing_values_are_dashes_and_failures_are_named():
    frame = own_runs(1)
    frame.loc[frame["run_id"] == "XS10", ["fd_digits", "fd_digits_low", "fd_digits_high"]] = np.nan
    source = study_of(frame)
    source.runs.loc[source.runs["run_id"] == "XS10", ["outcome", "reason"]] = [
        "DIVERGED",
        "loss is not finite",
    ]
    page = collect(source)
    assert [f["reason"] for f in page.failures] == ["loss is not finite"]
    column = [c["heading"] for c in page.columns].index("fd_digits")
    cells = [row[column] for row in page.rows]
    assert {"text": "-", "key": ""} in cells
    assert not any(c["text"] in ("0", "nan", "NaN") for c in cells)
    assert "9 of 9 runs finished, 8 of 9 measured" in page.progress


def test_an_empty_study_still_has_a_page():
    frame = own_runs(1)
    frame[["fd_digits", "fd_digits_low", "fd_digits_high"]] = np.nan
    html = render(collect(study_of(frame), stated()))
    assert "UNDECIDED" in html
    assert "0 of 9 measured" in html


@pytest.mark.usefixtures("no_figures")
def test_the_published_page_shows_seven_claims():
    html = render(collect(published_source(), core_claims()))
    assert html.count('class="claim ') == 7
    assert "5 supported, 0 refuted, 2 undecided" in html
    assert len(html) < 5_000_000


@pytest.mark.slow
def test_a_thousand_runs_make_a_page_under_five_megabytes(tmp_path):
    start = time.monotonic()
    html = render(collect(many(), stated()))
    print(f"1,000 runs: {len(html) / 1e6:.2f} MB, written in {time.monotonic() - start:.1f} s")
    assert len(html) < 5_000_000
    assert html.count("<tr>") > 2000


@pytest.mark.usefixtures("no_figures")
def test_live_page_reloads_until_all_runs_are_finished():
    source = study_of(own_runs(1))
    assert 'http-equiv="refresh"' not in render(collect(source), refresh_s=20)
    source.runs.loc[0, "outcome"] = None
    assert 'http-equiv="refresh" content="20"' in render(collect(source), refresh_s=20)
    assert 'http-equiv="refresh"' not in render(collect(source))


def test_predicted_and_used_hours_are_compared_like_with_like(no_figures):
    """Evaluations count where all that the plan asks for are made; a ratio is over finished runs
    with a prediction.
    """
    source = study_of(own_runs(seeds=1).assign(seconds=36.0))
    source.runs["device_hours"] = 0.5
    source.runs["predicted_hours"] = [0.4] * 8 + [np.nan]
    source.runs.loc[0, "outcome"] = "DIVERGED"
    source.runs["planned_evals"] = [2] * 7 + [3, 3]
    source.runs["predicted_eval_hours"] = 0.04
    rows = {c["what"]: c["value"] for c in collect(source, ()).cost}
    assert rows["Device-hours of training predicted by the plan"] == "3.2 h (8 of 9 runs)"
    assert rows["Used / predicted, training, over 7 finished runs"] == "1.25"
    assert rows["Device-hours of evaluation used"] == "0.14 h (7 of 9 runs)"
    assert rows["Used / predicted, evaluation, over 6 finished runs"] == "0.50"
    assert not any(
        "predicted" in what for what in (c["what"] for c in collect(study_of(own_runs()), ()).cost)
    )


def test_one_correlation_has_one_interval_in_figure_claim_and_answer():
    source = study_of(own_runs())
    figure = correlation_of(final_points(source.results, "fd_digits"))
    claim = parse_claim(
        {"id": "c", "text": "t", "kind": "correlation", "metric": "fd_digits", "at_most": -0.5}
    )
    judged = judge(claim, source)
    answer = fit_all(source).pearson
    assert (judged.estimate, judged.low, judged.high) == (figure.r, figure.low, figure.high)
    assert (answer.r, answer.low, answer.high) == (figure.r, figure.low, figure.high)
