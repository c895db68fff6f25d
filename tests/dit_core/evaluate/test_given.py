"""Evaluations of conditioned and vector models, whole: asked for real rows' conditions, shared,
resumed, refused.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from trained import trained_run

import dit_core.evaluate.one_evaluation as module
from dit_core.cli.app import main
from dit_core.data.load import load_data
from dit_core.errors import DataError, UserError
from dit_core.evaluate.one_evaluation import evaluate
from dit_core.evaluate.protocol.definition import definition_sha256
from dit_core.evaluate.protocol.fit import misfits
from dit_core.evaluate.samples.generate import Generator
from dit_core.evaluate.samples.real_rows import rows_of
from dit_core.study.catalogue.protocols import PROTOCOLS, protocol_of
from dit_core.study.science.data import BUILT_IN, Data
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Ddpm, Model, Science, Train

CASES = {
    "digits-completion": "digits-half",
    "digits-coarse": "digits-coarse",
    "digits-obedience": "digits-measured",
    "vectors": "wine",
    "fields": "digits-coarse",
}


def science_of(data: str) -> Science:
    cfg = BUILT_IN[data]
    positions = {"positions": "learned", "patch": 1} if cfg.vectors else {"patch": 4}
    model = Model(depth=1, hidden=32, heads=2, **positions)
    train = Train(images=cfg.images // 2 * 2 * 30, batch=2)
    return Science(model=model, data=cfg, objective=Ddpm(), train=train)


@pytest.fixture(params=list(CASES))
def case(request, store):
    """Return (a run with random weights, a plan of an evaluation that fits its data)."""
    run = trained_run(store, science_of(CASES[request.param]))
    return run, run.plan(samples=200, protocol=request.param)


def test_a_record_is_whole_and_the_same_from_two_processes_and_after_a_stop(
    case, execution, monkeypatch
):
    run, planned = case
    record = evaluate(run.paths, run.science, planned, execution)
    protocol = protocol_of(planned.evaluation.protocol)
    assert tuple(record["metrics"]) == protocol.metrics
    for name in protocol.metrics:
        metric = record["metrics"][name]
        assert metric["low"] <= metric["value"] <= metric["high"], name
    held_out = {"count": 359, "held_out": True}
    rows = {
        "wine": {"count": 178, "held_out": False},
        "digits-measured": {"count": 1797, "held_out": False},
    }
    assert record["protocol"]["rows"].items() >= rows.get(run.science.data.name, held_out).items()
    assert record["protocol"]["definition_sha256"] == definition_sha256(protocol)
    assert record["marks"] == []
    assert (
        planned.eval_id in {path.stem for path in run.paths.evals.glob("*.png")}
        or protocol.name == "vectors"
    )

    run.paths.eval(planned.eval_id).unlink()
    first = evaluate(run.paths, run.science, planned, execution, rank=1, world=2)
    assert first["unfinished"]
    assert (
        evaluate(run.paths, run.science, planned, execution, rank=0, world=2)["metrics"]
        == record["metrics"]
    )

    run.paths.eval(planned.eval_id).unlink()
    original = Generator.samples
    calls = []

    def stopped(self, indices):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(indices)
        return original(self, indices)

    monkeypatch.setattr(Generator, "samples", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run.paths, run.science, planned, execution, flush_s=0)
    monkeypatch.setattr(
        Generator,
        "samples",
        lambda self, i: original(self, i) if i not in calls else pytest.fail("2x"),
    )
    assert (
        evaluate(run.paths, run.science, planned, execution, flush_s=0)["metrics"]
        == record["metrics"]
    )


def test_sample_i_is_asked_for_row_i_mod_m(store):
    for name, protocol in (("digits-half", "digits-completion"), ("wine", "vectors")):
        cfg = BUILT_IN[name]
        rows = rows_of(cfg, protocol_of(protocol).labels, {})
        asked = load_data(cfg).held_out()
        assert len(rows) == len(asked)
        x, y = asked.batch([3], [3], 0)
        given = rows.conditions([3 + len(rows), 3 + 2 * len(rows)])
        label, asked_label = (y.label, given.label) if cfg.conditions else (y, given)
        assert asked_label.tolist() == label.tolist() * 2
        assert rows.truth(10)[0][3].equal(x[0])
    assert rows_of(Data(), "balanced", {}) is None


def test_real_samples_would_be_perfect(store, execution, monkeypatch):
    """With the truth in the place of samples the errors are those of rounding, and nobody could
    tell the rows apart.
    """
    for protocol, name in CASES.items():
        run = trained_run(store, science_of(name))
        asked = load_data(run.science.data).held_out()

        def real(self, indices, asked=asked):
            index = torch.tensor(list(indices)) % len(asked)
            return asked.batch(index.numpy(), index.numpy(), 0)[0]

        monkeypatch.setattr(Generator, "samples", real)
        found = evaluate(
            run.paths, run.science, run.plan(samples=200, protocol=protocol), execution
        )["metrics"]
        if protocol == "vectors":
            assert found["two_sample_accuracy"]["value"] < 0.5
            assert found["mmd2"]["high"] < 0.05
            assert found["memorised"]["value"] == 1.0
        elif protocol == "fields":
            assert found["power_error"]["value"] == 0
            assert found["cross_correlation"]["value"] == pytest.approx(1)
            assert found["field_ratio"]["value"] == 0
        elif protocol == "digits-obedience":
            assert all(
                found[n]["value"] > 0.999 for n in ("ink_r2", "slant_r2", "width_r2", "agreement")
            )
        else:
            assert found[protocol_of(protocol).main]["value"] < 0.02
            rmse = "completion_rmse" if protocol == "digits-completion" else "detail_rmse"
            assert set(found[rmse]["by_label"]) == set("0123456789")


def test_vectors_that_are_not_finite_or_all_alike_are_named(store, execution, monkeypatch):
    run = trained_run(store, science_of("wine"))
    planned = run.plan(samples=100, protocol="vectors")
    original = Generator.samples

    def broken(self, indices):
        x = original(self, indices)
        if 70 in indices:
            x = x.clone()
            x[list(indices).index(70), 0, 0, 3] = float("nan")
        return x

    monkeypatch.setattr(Generator, "samples", broken)
    with pytest.raises(DataError, match="sample 70 holds values that are not finite"):
        evaluate(run.paths, run.science, planned, execution)
    monkeypatch.setattr(
        Generator, "samples", lambda self, indices: torch.zeros(len(indices), 1, 1, 13)
    )
    with pytest.raises(DataError, match="samples 0 to 31 are all the same vector"):
        evaluate(run.paths, run.science, planned, execution)


def test_kept_vectors_are_lines_with_their_numbers(store, execution, tmp_path):
    run = trained_run(store, science_of("wine"))
    evaluate(
        run.paths,
        run.science,
        run.plan(samples=70, protocol="vectors"),
        execution,
        keep=tmp_path / "kept",
    )
    lines = [
        line for path in sorted((tmp_path / "kept").iterdir()) for line in csv.reader(path.open())
    ]
    assert [int(line[0]) for line in lines] == list(range(70))
    assert {len(line) for line in lines} == {14}
    assert [path.suffix for path in run.paths.evals.iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("protocol", "data", "words"),
    [
        (
            "digits-completion",
            "digits",
            "but protocol 'digits-completion' measures 'digits-half' alone",
        ),
        ("digits-obedience", "digits-half", "measures 'digits-measured' alone"),
        ("digits-coarse", "digits-half", "measures 'digits-coarse' alone"),
        (
            "vectors",
            "digits",
            "samples are images of (1, 8, 8), but protocol 'vectors' measures vectors",
        ),
        (
            "digits",
            "wine",
            "samples are vectors, but protocol 'digits' measures images; for vectors: vectors",
        ),
        ("fid-50k", "wine", "samples are vectors, but protocol 'fid-50k' measures images"),
        ("dit-scaling", "wine", "samples are vectors"),
    ],
)
def test_protocols_that_do_not_fit_are_refused_before_sampling(
    protocol, data, words, store, execution, monkeypatch
):
    evaluation = Evaluation(images_seen=1, protocol=protocol, samples=100, sampling=Sampling())
    assert any(
        words in misfit.text
        for misfit in misfits(protocol_of(protocol), BUILT_IN[data], evaluation)
    )
    monkeypatch.setattr(module, "network_of", lambda *_: pytest.fail("built a network"))
    run = trained_run(store, science_of(data))
    with pytest.raises(UserError) as caught:
        evaluate(run.paths, run.science, run.plan(samples=100, protocol=protocol), execution)
    assert words in str(caught.value)


@pytest.mark.parametrize("protocol", list(CASES))
def test_protocols_accept_their_own_data(protocol):
    evaluation = Evaluation(images_seen=1, protocol=protocol, samples=100, sampling=Sampling())
    assert misfits(PROTOCOLS[protocol], BUILT_IN[CASES[protocol]], evaluation) == []


def test_a_plan_says_what_does_not_fit(tmp_path, capsys):
    study = tmp_path / "wrong.yaml"
    study.write_text("""
study: wrong
question: Is it refused?
base:
  data: {name: digits}
  model: {depth: 1, hidden: 32, heads: 2, patch: 4}
  train: {duration: 30 steps, batch: 32}
evaluate:
  - {protocol: digits-obedience}
""")
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(study)])
    assert ended.value.code == 2
    assert "protocol 'digits-obedience' measures 'digits-measured' alone" in capsys.readouterr().err


def test_sample_draws_rows_of_each_class_and_no_picture_of_vectors(
    store, tmp_path, capsys, execution
):
    run = trained_run(store, science_of("digits-half"))
    words = [
        "--steps",
        "2",
        "--classes",
        "2",
        "--per-class",
        "3",
        "--device",
        "cpu",
        "--keep",
        str(tmp_path / "s"),
    ]
    with pytest.raises(SystemExit) as ended:
        main(["sample", run.paths.root.name, *words, "--out", str(tmp_path / "grid.png")])
    assert ended.value.code in (0, None)
    planned = run.plan(samples=100, protocol="digits-completion")
    evaluate(run.paths, run.science, planned, execution, keep=tmp_path / "e")
    labels = load_data(run.science.data).held_out().labels
    for c in range(2):
        for k, row in enumerate((labels == c).nonzero()[0][:3]):
            pictures = [
                tmp_path / "e" / f"{row:06d}.png",
                tmp_path / "s" / "ddpm-2-g1" / str(c) / f"{k:06d}.png",
            ]
            one, two = (np.asarray(Image.open(path), dtype=int) for path in pictures)
            assert (
                np.abs(one - two).max() <= 1
            )  # another batch may round a grey level the other way
    capsys.readouterr()
    table = trained_run(store, science_of("wine"))
    with pytest.raises(SystemExit) as ended:
        main(["sample", table.paths.root.name, *words])
    assert ended.value.code == 2
    assert "makes vectors, of which there are no pictures" in capsys.readouterr().err
