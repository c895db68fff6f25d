"""A study without evaluations: its training curves, its report, and one reason for all the rest."""

from __future__ import annotations

import json

import pytest
from command_line import answer
from synthetic_store import fill

from dit_core.records.paths import Store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    fill(Store(folder), 4, points=20, evals=0)
    return folder


def study_of(root) -> str:
    return next((root / "studies").iterdir()).name


def test_its_training_curves_are_drawn(root, tmp_path, capsys):
    words = ("figures", study_of(root), "--only", "loss-curves", "--formats", "svg")
    code, out, err = answer(
        capsys, *words, "--out", str(tmp_path), "--results", str(root), "--json"
    )
    assert code == 0, err
    assert [f.rsplit("/", 1)[-1] for f in json.loads(out)["files"]] == ["figure13-loss-curves.svg"]


def test_the_figures_that_need_evaluations_have_one_reason(root, tmp_path, capsys):
    words = ("figures", study_of(root), "--formats", "png", "--out", str(tmp_path))
    code, _, err = answer(capsys, *words, "--results", str(root))
    assert code == 0
    assert err.count("no evaluation is recorded yet") == 1
    assert "bubbles" in err


def test_it_has_a_report(root, tmp_path, capsys):
    page = tmp_path / "index.html"
    code, _, err = answer(
        capsys, "report", study_of(root), "--out", str(page), "--results", str(root)
    )
    assert code == 0, err
    text = page.read_text()
    assert "no evaluation is recorded yet" in text
    assert 'id="figure-loss-curves"' in text or "figure-loss-curves" in text


def test_a_fit_says_what_is_missing(root, capsys):
    code, _, err = answer(capsys, "fit", study_of(root), "--results", str(root))
    assert code == 2
    assert "no evaluation is recorded yet" in err
