"""Evaluations that are shared, killed and resumed; a stale feature cache is never used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from dit_core.evaluate.one_evaluation import evaluate
from dit_core.evaluate.samples.generate import Generator
from dit_core.records.evals import read_eval
from dit_core.study.science.execution import Execution


def values(record: dict) -> dict[str, float]:
    return {
        name: metric["value"]
        for name, metric in record["metrics"].items()
        if metric["value"] is not None
    }


def difference(a: dict, b: dict) -> float:
    """Return the largest relative difference of two records' metrics."""
    one = values(a)
    two = values(b)
    assert one.keys() == two.keys()
    return max(abs(one[k] - two[k]) / max(abs(one[k]), 1e-12) for k in one)


def forget(trained, planned) -> None:
    trained.paths.eval(planned.eval_id).unlink()


def test_a_record_holds_the_whole_protocol(trained, execution):
    planned = trained.plan()
    seen = []
    record = evaluate(
        trained.paths,
        trained.science,
        planned,
        execution,
        lambda done, total: seen.append((done, total)),
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
    needed |= {"reference_sha256", "labels", "weights", "decoder", "batch", "tf32"}
    assert needed <= record["protocol"].keys()
    assert record["marks"] == []
    assert len(record["snapshot_sha256"]) == 64
    assert record["evaluation"]["seed"] == 0
    assert record["seconds"] > 0
    assert record["device"] == "cpu"
    assert trained.paths.eval(planned.eval_id).with_suffix(".png").is_file()
    assert not list(trained.paths.evals.glob("*.part"))


def test_a_finished_evaluation_is_returned_as_it_is(trained, execution, monkeypatch):
    planned = trained.plan()
    first = evaluate(trained.paths, trained.science, planned, execution)
    left = trained.paths.evals / f"{planned.eval_id}.part"
    left.mkdir()
    monkeypatch.setattr(Generator, "images", lambda *_: pytest.fail("sampled again"))
    assert evaluate(trained.paths, trained.science, planned, execution) == first
    assert not left.exists()


def test_seeds_differ_and_batches_do_not_matter(trained, execution):
    base = evaluate(trained.paths, trained.science, trained.plan(), execution)
    other = evaluate(trained.paths, trained.science, trained.plan(seed=1), execution)
    assert difference(base, other) > 1e-4
    forget(trained, trained.plan())
    wide = evaluate(
        trained.paths, trained.science, trained.plan(), Execution(device="cpu", sample_batch=77)
    )
    assert difference(base, wide) < 1e-4


def test_processes_share_an_evaluation_exactly(trained, execution):
    planned = trained.plan()
    whole = evaluate(trained.paths, trained.science, planned, execution)
    worst = 0.0
    left = []
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
    worst = 0.0
    sampled_again = 0
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
        monkeypatch.setattr(
            Generator, "images", lambda self, i, again=again: again.append(i) or original(self, i)
        )
        resumed = evaluate(trained.paths, trained.science, planned, execution, flush_s=0)
        worst = max(worst, difference(whole, resumed))
        sampled_again += len(set(calls) & set(again))
    print(
        f"stopped and resumed 3 times: largest relative difference {worst:.1e}, batches sampled "
        f"twice {sampled_again}"
    )
    assert worst <= 1e-6
    assert sampled_again == 0


KILLED = """
import sys
from dit_core.evaluate.one_evaluation import evaluate
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
    from dit_core.study.science.run import Run

    planned = trained.plan(samples=192, steps=20)
    run = Run(
        planned.run_id,
        "",
        trained.science,
        execution,
        (planned,),
        (planned.evaluation.images_seen,),
    )
    command = [sys.executable, "-c", KILLED, str(store.root), json.dumps(run_record(run))]
    folder = trained.paths.evals / f"{planned.eval_id}.part"
    process = subprocess.Popen(command, env=dict(os.environ, OMP_NUM_THREADS="1"))
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*.safetensors"))) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = len(list(folder.glob("*.safetensors")))
    resumed = evaluate(trained.paths, trained.science, planned, execution)
    forget(trained, planned)
    whole = evaluate(trained.paths, trained.science, planned, execution)
    print(
        f"killed with {kept} of 6 batches kept; relative difference after resuming "
        f"{difference(whole, resumed):.1e}"
    )
    assert difference(whole, resumed) <= 1e-6


def test_parts_of_another_setting_or_altered_parts_are_not_used(trained, execution):
    """A stale cache under the same name gives an old number: the mark of a setting in each name
    prevents it.
    """
    planned = trained.plan()
    whole = evaluate(trained.paths, trained.science, planned, execution)
    forget(trained, planned)
    # Parts of another batch size, then parts whose bytes changed, lie in the same folder.
    evaluate(
        trained.paths,
        trained.science,
        planned,
        Execution(device="cpu", sample_batch=50),
        rank=0,
        world=2,
    )
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
    print(
        f"{len(parts)} parts of {len(settings)} settings, {len(own)} altered: "
        f"difference {difference(whole, resumed):.1e}, stale or altered parts used 0"
    )
    assert len(settings) == 2
    assert own
    assert difference(whole, resumed) == 0.0
    assert not folder.exists()


def _batch_of(path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor("64").shape[0]


def test_new_weights_make_old_parts_useless(trained, execution):
    from dit_core.records.disk.bundle import remove
    from dit_core.training.checkpoint import load_ema, save_snapshot

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
