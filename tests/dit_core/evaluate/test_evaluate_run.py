"""Hostile cases 63, 64 and 67: evaluations that are shared, killed, resumed, or must not be made at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref

import pytest
import torch

import dit_core.evaluate.run as module
from dit_core.errors import DataError, RecordError, UserError
from dit_core.evaluate.generate import Generator
from dit_core.evaluate.run import evaluate
from dit_core.records.evals import read_eval
from dit_core.study.execution import Execution


def values(record: dict) -> dict[str, float]:
    return {name: metric["value"] for name, metric in record["metrics"].items() if metric["value"] is not None}


def difference(a: dict, b: dict) -> float:
    """Return the largest relative difference of two records' metrics."""
    one, two = values(a), values(b)
    assert one.keys() == two.keys()
    return max(abs(one[k] - two[k]) / max(abs(one[k]), 1e-12) for k in one)


def forget(trained, planned) -> None:
    trained.paths.eval(planned.eval_id).unlink()


def test_a_record_holds_the_whole_protocol(trained, execution):
    planned = trained.plan()
    seen = []
    record = evaluate(
        trained.paths, trained.science, planned, execution, lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (200, 200)
    assert record == read_eval(trained.paths, planned.eval_id)
    assert next(iter(record["metrics"])) == "fd_digits"
    assert "fid" not in record["metrics"]
    metric = record["metrics"]["fd_digits"]
    assert metric["low"] < metric["value"] < metric["high"]
    needed = {
        "name",
        "version",
        "definition_sha256",
        "extractor",
        "weights_sha256",
        "layer",
        "resize",
        "uint8",
        "samples",
    }
    needed |= {"reference_sha256", "labels", "weights", "decoder", "batch", "tf32", "snapshot_sha256", "calibrated"}
    assert needed <= record["protocol"].keys()
    assert record["evaluation"]["seed"] == 0
    assert record["seconds"] > 0
    assert record["device"] == "cpu"
    assert trained.paths.eval(planned.eval_id).with_suffix(".png").is_file()
    assert not list(trained.paths.evals.glob("*.part"))


def test_a_finished_evaluation_is_returned_as_it_is(trained, execution, monkeypatch):
    planned = trained.plan()
    first = evaluate(trained.paths, trained.science, planned, execution)
    monkeypatch.setattr(Generator, "images", lambda *_: pytest.fail("sampled again"))
    assert evaluate(trained.paths, trained.science, planned, execution) == first


def test_seeds_differ_and_batches_do_not_matter(trained, execution):
    base = evaluate(trained.paths, trained.science, trained.plan(), execution)
    other = evaluate(trained.paths, trained.science, trained.plan(seed=1), execution)
    assert difference(base, other) > 1e-4
    forget(trained, trained.plan())
    wide = evaluate(trained.paths, trained.science, trained.plan(), Execution(device="cpu", sample_batch=77))
    assert difference(base, wide) < 1e-4


def test_processes_share_an_evaluation_exactly(trained, execution):
    planned = trained.plan()
    whole = evaluate(trained.paths, trained.science, planned, execution)
    worst, left = 0.0, []
    for world in (2, 4, 8):
        forget(trained, planned)
        parts = [
            evaluate(trained.paths, trained.science, planned, execution, rank=r, world=world)
            for r in reversed(range(world))
        ]
        left += [part.get("unfinished") for part in parts[:-1]]
        worst = max(worst, difference(whole, parts[-1]))
    print(f"1, 2, 4 and 8 processes: largest relative difference {worst:.1e}")
    assert all(left)
    assert worst <= 1e-6
    assert not list(trained.paths.evals.glob("*.part"))


def test_a_stopped_evaluation_goes_on_where_it_was(trained, execution, monkeypatch):
    planned = trained.plan()
    whole = evaluate(trained.paths, trained.science, planned, execution)
    worst, sampled_again = 0.0, 0
    original = Generator.images
    for after in (1, 3, 6):
        forget(trained, planned)
        calls = []

        def counted(self, indices, calls=calls, after=after):
            if len(calls) == after:
                raise KeyboardInterrupt
            calls.append(indices)
            return original(self, indices)

        monkeypatch.setattr(Generator, "images", counted)
        with pytest.raises(KeyboardInterrupt):
            evaluate(trained.paths, trained.science, planned, execution, flush_s=0)
        again = []
        monkeypatch.setattr(Generator, "images", lambda self, i, again=again: again.append(i) or original(self, i))
        resumed = evaluate(trained.paths, trained.science, planned, execution, flush_s=0)
        worst = max(worst, difference(whole, resumed))
        sampled_again += len(set(calls) & set(again))
    print(
        f"stopped and resumed 3 times: largest relative difference {worst:.1e}, batches sampled twice {sampled_again}"
    )
    assert worst <= 1e-6
    assert sampled_again == 0


KILLED = """
import sys
from dit_core.evaluate.run import evaluate
from dit_core.records.plan import run_of
from dit_core.records.paths import Store
import json
run = run_of(json.loads(sys.argv[2]))
store = Store.at(sys.argv[1])
for planned in run.evaluations:
    evaluate(store.run(run.run_id), run.science, planned, run.execution, flush_s=0)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_wrong(trained, execution, store):
    import json

    from dit_core.records.plan import run_record
    from dit_core.study.run import Run

    planned = trained.plan(samples=192, steps=20)
    run = Run(planned.run_id, "", trained.science, execution, (planned,), (planned.evaluation.images_seen,))
    command = [sys.executable, "-c", KILLED, str(store.root), json.dumps(run_record(run))]
    folder, kills = trained.paths.evals / f"{planned.eval_id}.part", 0
    for wanted in (1, 3):
        process = subprocess.Popen(command, env=dict(os.environ, OMP_NUM_THREADS="1"))
        deadline = time.monotonic() + 60
        while len(list(folder.glob("*.safetensors"))) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    resumed = evaluate(trained.paths, trained.science, planned, execution)
    forget(trained, planned)
    whole = evaluate(trained.paths, trained.science, planned, execution)
    print(f"{kills} of 2 processes killed; relative difference after resuming {difference(whole, resumed):.1e}")
    assert kills == 2
    assert difference(whole, resumed) <= 1e-6


def test_parts_of_another_setting_or_altered_parts_are_not_used(trained, execution):
    """A stale cache under the same name gives an old number: the mark of a setting in each name prevents it."""
    planned = trained.plan()
    whole = evaluate(trained.paths, trained.science, planned, execution)
    forget(trained, planned)
    # Parts of another batch size, then parts whose bytes changed, lie in the same folder.
    evaluate(trained.paths, trained.science, planned, Execution(device="cpu", sample_batch=50), rank=0, world=2)
    evaluate(trained.paths, trained.science, planned, execution, rank=0, world=2)
    folder = trained.paths.evals / f"{planned.eval_id}.part"
    parts = sorted(folder.glob("*.safetensors"))
    settings = {path.name.split("-")[1] for path in parts}
    own = [p for p in parts if _batch_of(p) == 32]
    for path in own:
        data = bytearray(path.read_bytes())
        data[-1] ^= 64
        path.write_bytes(data)
    resumed = evaluate(trained.paths, trained.science, planned, execution)
    print(f"{len(parts)} parts of {len(settings)} settings, {len(own)} altered: "
          f"difference {difference(whole, resumed):.1e}, stale or altered parts used 0")  # fmt: skip
    assert len(settings) == 2
    assert own
    assert difference(whole, resumed) == 0.0
    assert not folder.exists()


def _batch_of(path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor("64").shape[0]


def test_new_weights_make_old_parts_useless(trained, execution):
    from dit_core.checkpoint import load_ema, save_snapshot
    from dit_core.records.bundle import remove

    planned = trained.plan()
    evaluate(trained.paths, trained.science, planned, execution, rank=0, world=2)
    point = planned.evaluation.images_seen
    ema = {name: value * 1.5 for name, value in load_ema(trained.paths, point).items()}
    remove(trained.paths.snapshot(point))
    save_snapshot(trained.paths, point, ema)
    mixed = evaluate(trained.paths, trained.science, planned, execution)
    forget(trained, planned)
    clean = evaluate(trained.paths, trained.science, planned, execution)
    assert difference(mixed, clean) == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_are_named_and_nothing_is_recorded(trained, execution, monkeypatch, value):
    original = Generator.samples

    def broken(self, indices):
        x = original(self, indices)
        if 70 in indices:
            x[list(indices).index(70), 0, 3, 3] = value
        return x

    monkeypatch.setattr(Generator, "samples", broken)
    planned = trained.plan()
    with pytest.raises(DataError, match="sample 70 holds values that are not finite"):
        evaluate(trained.paths, trained.science, planned, execution)
    assert read_eval(trained.paths, planned.eval_id) is None


def test_a_collapsed_model_is_named(trained, execution, monkeypatch):
    monkeypatch.setattr(Generator, "samples", lambda self, indices: torch.zeros(len(indices), 1, 8, 8))
    with pytest.raises(DataError, match="samples 0 to 31 are all the same image"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)


def test_what_is_wrong_is_said_before_anything_is_sampled(trained, execution, monkeypatch):
    monkeypatch.setattr(Generator, "images", lambda *_: pytest.fail("sampled"))
    monkeypatch.setattr(module, "network_of", lambda *_: pytest.fail("built a network"))
    cases = {
        "samples is 64, but a covariance of 64 features needs more": trained.plan(samples=64),
        "unknown protocol 'digit', did you mean 'digits'": trained.plan(protocol="digit"),
        "sampler 'euler' does not go with objective 'ddpm'": trained.plan(sampler="euler"),
        "data.kind is 'digits', but protocol 'dit-scaling' decodes latents": trained.plan(protocol="dit-scaling"),
        "samples is 200, but protocol 'dit-scaling' is defined with 50000": trained.plan(protocol="dit-scaling"),
        "guidance is 1.0, but protocol 'dit-table2' is defined with 1.5": trained.plan(protocol="dit-table2"),
        "steps is 2, but protocol 'dit-fig10' is defined with 16, 32": trained.plan(protocol="dit-fig10"),
    }
    refused = 0
    for words, planned in cases.items():
        with pytest.raises(UserError) as caught:
            evaluate(trained.paths, trained.science, planned, execution)
        assert words in str(caught.value)
        refused += 1
    print(f"evaluations refused before sampling: {refused} of {len(cases)}")


def test_too_few_samples_are_measured_when_asked_and_labelled(trained, execution):
    record = evaluate(trained.paths, trained.science, trained.plan(samples=40), execution, few=True)
    assert record["protocol"]["few_samples"] is True
    full = evaluate(trained.paths, trained.science, trained.plan(), execution)
    assert full["protocol"]["few_samples"] is False


def test_altered_or_missing_weights_are_an_error(trained, execution):
    folder = trained.paths.snapshot(960)
    path = folder / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match="sha256"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)
    path.unlink()
    with pytest.raises(RecordError, match=r"ema\.safetensors"):
        evaluate(trained.paths, trained.science, trained.plan(), execution)


def test_weights_of_another_network_are_an_error(trained, execution):
    science = trained.science.model_copy(update={"model": trained.science.model.model_copy(update={"depth": 3})})
    with pytest.raises(DataError, match="another network"):
        evaluate(trained.paths, science, trained.plan(), execution)


def test_images_are_kept_only_when_asked(trained, execution, tmp_path):
    evaluate(trained.paths, trained.science, trained.plan(), execution)
    assert [p.suffix for p in sorted(trained.paths.evals.iterdir())] == [".json", ".png"]
    forget(trained, trained.plan())
    evaluate(trained.paths, trained.science, trained.plan(), execution, keep=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.png"))) == 200


def test_images_of_one_batch_at_most_are_alive(trained, execution, monkeypatch):
    """Memory grows with the features alone: no batch of images outlives its turn."""
    alive, most, original = weakref.WeakSet(), [0], Generator.images

    class Marked(torch.Tensor):
        pass

    def counted(self, indices):
        images = original(self, indices).as_subclass(Marked)
        most[0] = max(most[0], sum(a.shape[0] for a in alive))
        alive.add(images)
        return images

    monkeypatch.setattr(Generator, "images", counted)
    evaluate(trained.paths, trained.science, trained.plan(samples=400), execution)
    assert most[0] <= 2 * execution.sample_batch
