"""The local executor: all runs carried out, failures named, kills survived, finished studies left
alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.kill_study import (
    command,
    compare,
    evaluations,
    outcomes,
    run_to_the_end,
    run_with_kills,
)

STUDY = """
study: tiny
question: Does the executor survive?
base:
  model: {size: XXXS, patch: 4}
  train: {duration: 300 steps, batch: 32, lr: 1e-3, ema: 0.9}
axes: {model.patch: [4, 2], train.seed: [0, 1]}
evaluate: [{protocol: digits, steps: [2, 3], samples: 100}]
execution: {save_every_images: 1600, threads: 1}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def calm(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("calm")
    run_to_the_end(study, results)
    return results


@pytest.mark.slow
def test_every_run_and_evaluation_has_one_record(calm: Path):
    assert list(outcomes(calm).values()) == ["DONE"] * 4
    assert len(evaluations(calm)) == 8
    assert (calm / "studies/tiny/report/results.csv").exists()


@pytest.mark.slow
def test_killed_at_random_and_restarted_it_ends_with_the_same_records(
    study: Path, calm: Path, tmp_path: Path
):
    hits = run_with_kills(study, tmp_path / "r", kills=3, within_s=6.0, rng=random.Random(1))
    counts = compare(calm, tmp_path / "r")
    print(f"kills {hits}, {counts}")
    wrong = {k: v for k, v in counts.items() if k not in ("runs", "evaluations") and v}
    assert wrong == {}


@pytest.mark.slow
def test_a_finished_study_is_left_alone(study: Path, calm: Path):
    before = {p: p.stat().st_mtime_ns for p in calm.glob("runs/**/*") if p.is_file()}
    result = subprocess.run(command(study, calm), capture_output=True, text=True, check=True)
    assert "nothing to do" in result.stdout
    assert before == {p: p.stat().st_mtime_ns for p in calm.glob("runs/**/*") if p.is_file()}


@pytest.mark.slow
def test_a_new_evaluation_axis_only_adds_evaluations(study: Path, calm: Path, tmp_path: Path):
    attempts = len(list(calm.glob("runs/*/*/attempts/*")))
    before = set(evaluations(calm))
    more = tmp_path / "more.yaml"
    more.write_text(STUDY.replace("steps: [2, 3]", "steps: [2, 3, 4], at: [50%, end]"))
    subprocess.run(command(more, calm), capture_output=True, check=True)
    assert len(list(calm.glob("runs/*/*/attempts/*"))) == attempts
    assert before < set(evaluations(calm))
    assert len(evaluations(calm)) == 4 * 3 * 2


@pytest.mark.slow
def test_a_training_point_without_weights_is_no_reason_to_train_again(
    study: Path, calm: Path, tmp_path: Path
):
    attempts = len(list(calm.glob("runs/*/*/attempts/*")))
    odd = tmp_path / "odd.yaml"
    odd.write_text(STUDY.replace("steps: [2, 3]", "steps: 2, at: 101 steps"))
    result = subprocess.run(command(odd, calm), capture_output=True, text=True)
    assert result.returncode == 1
    assert "no weights were kept after 3,232 images; kept points: 960, 1,920" in result.stderr
    assert len(list(calm.glob("runs/*/*/attempts/*"))) == attempts


@pytest.mark.slow
def test_altered_weights_are_trained_again_before_they_are_measured(study: Path, tmp_path: Path):
    results = tmp_path / "r"
    one = tmp_path / "one.yaml"
    one.write_text(STUDY.replace("model.patch: [4, 2], train.seed: [0, 1]", "model.patch: [4]"))
    run_to_the_end(one, results)
    before = evaluations(results)
    weights = next(results.glob("runs/*/*/snapshots/000000009600/ema.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for record in results.glob("runs/*/*/evals/*.json"):
        record.unlink()
    run_to_the_end(one, results)
    assert evaluations(results) == before
    assert weights.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_leaves_and_the_same_command_goes_on(
    study: Path, tmp_path: Path, how: signal.Signals
):
    long = tmp_path / "long.yaml"
    long.write_text(STUDY.replace("300 steps", "20000 steps").replace("seed: [0, 1]", "seed: [0]"))
    # a shell starts what it puts into the background with SIGINT ignored, and these tests may be
    # run so
    words = ["env", "--default-signal=INT", *command(long, tmp_path / "r")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: list((tmp_path / "r").glob("runs/*/*/checkpoints/0*")), process)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run it again to resume" in errors
    ends = [
        json.loads(p.read_bytes())
        for p in (tmp_path / "r").glob("runs/*/*/attempts/*/attempt.json")
    ]
    assert {e["end"] for e in ends} == {"stopped"}
    for end in ends:
        saved = (tmp_path / "r").glob(
            f"runs/*/{end['run_id']}/checkpoints/{end['images_end']:012d}/MANIFEST.json"
        )
        assert list(saved), "a stop by signal loses no step"


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_others_go_on(study: Path, tmp_path: Path):
    # One run's folder cannot be made: a file lies in its place.
    from dit_core.study.grid.expand import expand
    from dit_core.study.language.spec import load_study

    victim = expand(load_study(study)).runs[0]
    blocked = tmp_path / "r" / "runs" / victim.run_id[:2] / victim.run_id
    blocked.mkdir(parents=True)
    (blocked / "run.yaml").write_text("science: {}\n")
    result = subprocess.run(command(study, tmp_path / "r"), capture_output=True, text=True)
    assert result.returncode == 1
    assert f"failed: {victim.name} ({victim.run_id})" in result.stderr
    assert "run.yaml: lacks" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(outcomes(tmp_path / "r").values()) == ["DONE"] * 3


def _wait_for(condition, process: subprocess.Popen, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def test_the_crew_shares_cores_evenly(study: Path, monkeypatch: pytest.MonkeyPatch):
    from dit_core.executor.local import crew_for
    from dit_core.study.grid.expand import expand
    from dit_core.study.language.spec import load_study

    runs = expand(load_study(study)).runs
    free = tuple(_with(run, threads=None) for run in runs)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (crew_for(free).workers, crew_for(free).threads) == (4, 2)
    assert (crew_for(free[:1]).workers, crew_for(free[:1]).threads) == (1, 8)
    asked = tuple(_with(run, threads=None, workers=3) for run in runs)
    assert [crew_for(asked[:n]).workers for n in (1, 2, 4)] == [1, 2, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert crew_for(free).gpus == ("2", "5")


def _with(run, **execution):
    from dataclasses import replace

    return replace(run, execution=run.execution.model_copy(update=execution))
