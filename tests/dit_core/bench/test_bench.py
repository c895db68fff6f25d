"""The benchmark measures the real loop in turns with the peer; the calibration fits and
predicts.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from dit_core.bench import calibrate, measure, pair
from dit_core.bench.fit import prices, worst
from dit_core.bench.lane import DoesNotFit, Lane
from dit_core.bench.pair import Paired
from dit_core.bench.subject import Subject, named
from dit_core.cli.app import main
from dit_core.errors import UserError
from dit_core.records.disk.files import read_json
from dit_core.study.price import predict
from dit_core.study.price.predict import PASS_TERMS, STEP_TERMS, Calibration, pass_terms, step_terms
from dit_core.training.ceiling import matrix_ceiling

TRUE_STEP = {"loop": 5e-4, "blocks": 3e-4, "flops": 1 / 6e10, "elements": 3e-9, "params": 2e-10}
TRUE_PASS = {"loop": 1e-4, "blocks": 1e-4, "flops": 1 / 8e10, "elements": 1e-9}


def known(workers: int = 2) -> Calibration:
    return Calibration(
        "here",
        workers,
        1,
        TRUE_STEP,
        TRUE_PASS,
        start_s=4.0,
        run_s=0.5,
        evaluation_s=0.2,
        sample_s=1e-4,
    )


def measured(noise: float) -> tuple[list, list[float]]:
    draw = random.Random(0)
    runs = [calibrate.calibration_run(*shape) for shape in calibrate.SHAPES]
    terms = [step_terms(run.science) for run in runs]
    true = [sum(row[name] * TRUE_STEP[name] for name in STEP_TERMS) for row in terms]
    return terms, [seconds * (1 + noise * draw.uniform(-1, 1)) for seconds in true]


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "allowed"), [(0.0, 0.01), (0.1, 0.15)])
def test_the_fit_predicts_what_it_has_not_seen(noise, allowed):
    terms, seconds = measured(noise)
    priced = prices(terms, seconds, STEP_TERMS)
    assert all(price >= 0 for price in priced.values())
    assert worst(terms, seconds, priced) <= allowed
    _, true = measured(0.0)
    errors = []
    for left_out in range(len(terms)):
        rest = [k for k in range(len(terms)) if k != left_out]
        one = prices([terms[k] for k in rest], [seconds[k] for k in rest], STEP_TERMS)
        errors.append(
            abs(sum(terms[left_out][n] * one[n] for n in STEP_TERMS) / true[left_out] - 1)
        )
    print(f"noise {noise:.0%}: worst of {len(errors)} left-out predictions {max(errors):.1%}")
    assert max(errors) < 0.25


def test_predicted_times_follow_the_arithmetic():
    run = calibrate.calibration_run("XS", 2, 64)
    calibration = known()
    science = run.science
    step = sum(step_terms(science)[name] * TRUE_STEP[name] for name in STEP_TERMS)
    assert predict.step_s(calibration, science) == pytest.approx(step)
    assert predict.train_s(calibration, science) == pytest.approx(step * science.train.steps + 0.5)
    small, large = (planned.evaluation for planned in run.evaluations)
    one, rest = (
        sum(pass_terms(science, samples)[name] * TRUE_PASS[name] for name in PASS_TERMS)
        for samples in (256, 44)
    )
    assert predict.sampling_s(calibration, science, small) == pytest.approx(4 * (one + rest))
    assert predict.sampling_s(calibration, science, large) > 3.5 * predict.sampling_s(
        calibration, science, small
    )
    record = json.loads(
        json.dumps({"fit": 3, **{n: getattr(calibration, n) for n in calibration.__slots__}})
    )
    assert Calibration.of(record) == calibration


def test_the_wall_time_is_that_of_the_longest_first_schedule():
    runs = [calibrate.calibration_run(*shape) for shape in calibrate.SHAPES]
    alone, both, many = (predict.wall_s(known(workers), runs) for workers in (1, 2, 100))
    total = sum(predict.run_s(known(), run) for run in runs)
    assert alone == pytest.approx(4.0 + total)
    assert 4.0 + total / 2 <= both < alone
    assert many == pytest.approx(4.0 + max(predict.run_s(known(), run) for run in runs))


def test_predicting_needs_no_torch():
    code = "import sys, dit_core.study.price.predict, dit_core.bench.device; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" not in loaded
    assert "pandas" not in loaded


def test_the_ceiling_is_a_rate(monkeypatch):
    import torch

    monkeypatch.setattr("dit_core.training.ceiling._SIDES", {"cpu": (128,)})
    assert 1e8 < matrix_ceiling(torch.device("cpu"), "float32", 0.05) < 1e13


def test_models_are_named_by_size_and_patch():
    assert named("XL/2") == ("XL", 2)
    with pytest.raises(UserError, match="unknown size 'XLL', did you mean 'XL'"):
        named("XLL/2")
    with pytest.raises(UserError, match="1, 2, 4, 8"):
        named("S/3")
    assert Subject("S", 4, 32).science.data.height == 32
    assert Subject("XS", 4, 64).science.data.name == "digits"


def test_when_compiling_has_paid():
    slow_start = Paired(0.1, 0.3, 3.0, 3.0, 3.0, 3.0, 10, first_s=61.0, peer_first_s=1.0)
    assert slow_start.pays_after_steps == 300


@pytest.mark.slow
def test_the_command_compares_with_the_peer(tmp_path, capsys):
    words = ["bench", "--model", "XXXS/4", "--blocks", "2", "--steps", "3", "--sampling", "--json"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--results", str(tmp_path)])
    assert caught.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images_per_s"] > 0
    assert 0 < document["mfu"] < 1.5
    assert set(document["peer"]) == {"step", "gradients", "sampling"}
    assert all(found["ratio"] > 0.2 for found in document["peer"].values())
    assert document["memory_bytes"] > 1e8
    parts = document["phases_s"]
    assert parts["backward"] > parts["ema"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "what"), [("ours", "step"), ("ours", "gradients"), ("peer", "step")]
)
def test_a_batch_that_does_not_fit_is_said_so(side, what):
    with Lane(side, what, Subject("XXXS", 4, 2**40)) as lane, pytest.raises(DoesNotFit) as refused:
        lane.ready()
    assert str(refused.value).startswith(f"{side}, {what}, batch {2**40}: out of memory (")


def test_the_batch_is_halved_until_it_fits_unless_it_was_chosen():
    asked = []

    def work(subject: Subject) -> str:
        asked.append(subject.batch)
        if subject.batch > 100:
            raise DoesNotFit("no room")
        return "fits"

    found, subject = measure._fitting(work, Subject("XL", 2, 256))
    assert (found, subject.batch, asked) == ("fits", 64, [256, 128, 64])
    with pytest.raises(DoesNotFit):
        measure._fitting(work, Subject("XL", 2, 256), fixed=True)


@pytest.mark.slow
def test_a_peer_that_does_not_fit_beside_us_gets_a_smaller_batch(monkeypatch):
    """As on a GPU, where the peer's float32 needs more memory than our bf16, and both are there at
    once.
    """

    class Small(Lane):
        def ready(self) -> float:
            batch = int(self._name.split()[-1])
            if batch > (16 if "peer" in self._name else 32):
                raise DoesNotFit(f"{self._name}: out of memory (a test)")
            return super().ready()

    monkeypatch.setattr(measure, "Lane", Small)
    monkeypatch.setattr(pair, "Lane", Small)
    subject = Subject("XXXS", 4, 64)
    found = measure.measure(subject, 1, 1, lambda name, done, total: None)
    assert found["subject"]["batch"] == 32
    assert found["peer"]["step"]["batch"] == 16
    with pytest.raises(DoesNotFit):
        measure.measure(subject, 1, 1, lambda name, done, total: None, fixed_batch=True)


@pytest.mark.slow
def test_a_calibration_is_measured_by_real_runs_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "SHAPES", [("XXXS", 4, 64), ("XXXS", 2, 64)])
    monkeypatch.setattr(calibrate, "_RUN_S", 0.05)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "calibration.json").write_text(
        '{"schema": 1, "devices": {"another": {"device": "another"}}}'
    )
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--save", "--results", str(tmp_path)])
    assert caught.value.code == 0
    assert "written:" in capsys.readouterr().out
    devices = read_json(tmp_path / "bench" / "calibration.json")["devices"]
    assert "another" in devices
    entry = next(value for name, value in devices.items() if name != "another")
    calibration = Calibration.of(entry)
    run = calibrate.calibration_run("XXXS", 4, 64)
    assert 1e-4 < predict.step_s(calibration, run.science) < 10
    assert predict.run_s(calibration, run) > predict.train_s(calibration, run.science) > 0


def test_wrong_words_are_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--model", "S/4", "--precision", "bf17"])
    assert caught.value.code == 2
    assert "did you mean 'bf16'" in capsys.readouterr().err
