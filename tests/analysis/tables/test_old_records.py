"""Records of an earlier version of ditlab are read as before.

`old_results` holds one run of the demo study as it was written then: its first twenty rows of
training, its evaluation and the plan, without weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.select.source import study_source
from analysis.tables import load
from dit_core.records.paths import Store
from dit_core.records.plan import read_plan
from dit_core.study.science import ids

OLD = Path(__file__).parent / "old_results"
RUN = "08f583456c28f00e"
EVALUATION = "cfa16e0bff780d01"


@pytest.fixture
def root(tmp_path):
    return shutil.copytree(OLD, tmp_path / "results")


def test_every_table_of_an_old_results_folder_is_filled(root):
    run = load.runs(root, "digits").iloc[0]
    assert (run["run_id"], run["study"], run["name"]) == (RUN, "digits", "size=XXXXS,patch=4")
    assert (run["model_size"], run["patch"], run["conditioning"]) == ("XXXXS", 4, "adaln-zero")
    assert (run["params"], run["fwd_gmacs"], run["train_flops"]) == (51168, 130048e-9, 49938432000)
    assert (run["outcome"], run["images_seen"], run["attempts"]) == ("DONE", 64000, 1)
    assert run["device_hours"] == pytest.approx(15.481 / 3600)
    evaluation = load.evals(root, "digits").iloc[0]
    assert (evaluation["eval_id"], evaluation["protocol"]) == (EVALUATION, "digits")
    assert evaluation["fd_digits"] == 27.469344850142647
    assert (evaluation["sampler"], evaluation["steps"], evaluation["samples"]) == ("ddim", 15, 1797)
    curve = load.metrics(root, run=RUN)
    assert curve["images"].tolist() == list(range(320, 6401, 320))
    assert curve["loss"].iloc[-1] == 0.14957253206521273
    assert load.attempts(root)["end"].tolist() == ["done"]
    assert load.problems(root).empty


def test_a_study_of_old_records_has_its_figures_columns(root):
    source = study_source("digits", root)
    row = source.results.iloc[0]
    assert source.metric == "fd_digits"
    assert source.question.startswith("Does the quality of a DiT follow")
    assert row["sampling_gmacs"] == pytest.approx(15 * 130048e-9)
    assert row["train_flops"] == pytest.approx(49938432000)


def test_ids_of_old_records_are_todays(root):
    run = read_plan(Store(root), "digits")[0]
    assert ids.run_id(run.science) == RUN
    assert [e.eval_id for e in run.evaluations] == [EVALUATION]
    assert ids.eval_id(RUN, run.evaluations[0].evaluation) == EVALUATION
