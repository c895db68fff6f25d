"""What a run was first trained on is recorded; other data of that name are refused ever after."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dit_core.cli.app import main
from dit_core.errors import DataError
from dit_core.evaluate.one_evaluation import evaluate
from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.records.data_record import read_data_record
from dit_core.records.disk.files import read_json
from dit_core.records.paths import Store
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.science.run import Run

STUDY = """\
study: rows
question: Are the data those it began with?
base:
  data: {name: swap, KIND, channels: 1, height: 8, width: 8, classes: 2, images: 64}
  model: {depth: 1, hidden: 16, heads: 2, patch: 4}
  train: {duration: 6 steps, batch: 4}
EVALUATE
execution: {data_roots: {swap: PLACE}, save_every_images: 64}
"""
MEASURED = "evaluate: [{protocol: vectors, sampler: ddim, steps: 2, samples: 40}]"
TABLE = (
    "KIND, channels: 1, height: 8, width: 8",
    "kind: npz, vectors: true, channels: 1, height: 1, width: 8",
)


def save(path: Path, seed: int) -> None:
    """Write 64 vectors and their labels."""
    rows = np.random.default_rng(seed).normal(size=(64, 8))
    np.savez(path, vectors=rows, labels=np.arange(64) % 2)


def study_of(tmp_path: Path, place: Path, *change: str) -> Path:
    """Write the study of the data at `place`."""
    path = tmp_path / "rows.yaml"
    path.write_text(
        STUDY.replace("PLACE", str(place))
        .replace(*(change or TABLE))
        .replace("EVALUATE", "" if change else MEASURED)
    )
    return path


def run_of(path: Path) -> Run:
    """Return the study's one run."""
    (run,) = expand(load_study(path)).runs
    return run


@pytest.fixture
def store(tmp_path) -> Store:
    """Return an empty results folder."""
    return Store(tmp_path / "results")


@pytest.fixture
def rows(tmp_path) -> Run:
    """Return a run on the user's own vectors."""
    save(tmp_path / "swap.npz", 0)
    return run_of(study_of(tmp_path, tmp_path / "swap.npz"))


def finish(store: Store, run: Run) -> tuple[str, str | None]:
    """Return how a run ended, and why."""
    result = execute_run(store, run)
    return result.how, result.reason


def interrupted(store: Store, run: Run) -> None:
    """Train the first steps of a run, and leave."""
    calls: list[int] = []

    def stop() -> str | None:
        calls.append(1)
        return "enough" if len(calls) > 3 else None

    assert execute_run(store, run, Watch(should_stop=stop)).how == "stopped"


def test_a_run_does_not_resume_on_other_data(store, rows, tmp_path):
    interrupted(store, rows)
    attempts = sorted(store.run(rows.run_id).attempts.iterdir())
    save(tmp_path / "swap.npz", 1)
    result = execute_run(store, rows)
    assert result.how == "failed"
    assert result.reason is not None
    assert result.reason.startswith("data 'swap' changed since this run was first trained: swap")
    assert "\n" not in result.reason
    for word in ("is sha256", "was", "recorded", "restore the file", "data.name"):
        assert word in result.reason
    assert sorted(store.run(rows.run_id).attempts.iterdir()) == attempts
    save(tmp_path / "swap.npz", 0)
    assert finish(store, rows) == ("done", None)


def test_a_finished_run_is_not_measured_against_other_data(store, rows, tmp_path):
    paths = store.run(rows.run_id)
    assert finish(store, rows) == ("done", None)
    (planned,) = rows.evaluations
    paths.eval(planned.eval_id).unlink()
    save(tmp_path / "swap.npz", 1)
    with pytest.raises(DataError, match=r"data 'swap' changed since .* swap\.npz is sha256"):
        evaluate(paths, rows.science, planned, rows.execution)
    assert "data 'swap' changed" in str(execute_run(store, rows).reason)
    assert not paths.eval(planned.eval_id).exists()


def test_the_command_line_refuses_it_in_one_line(store, rows, tmp_path, capsys):
    interrupted(store, rows)
    save(tmp_path / "swap.npz", 1)
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "rows.yaml"), "--results", str(store.root)])
    err = capsys.readouterr().err
    assert "data 'swap' changed since this run was first trained" in err
    assert "Traceback" not in err


def test_data_that_are_not_on_this_machine_cannot_have_changed(store, rows, tmp_path):
    """FID compares with a reference file, so a finished run can be measured without its data."""
    from dit_core.data.same import require_same_data

    assert finish(store, rows) == ("done", None)
    (tmp_path / "swap.npz").unlink()
    require_same_data(store.run(rows.run_id), rows.science.data, rows.execution.data_roots)


def test_a_record_from_before_gets_its_hash_at_the_next_start(store, rows):
    paths = store.run(rows.run_id)
    interrupted(store, rows)
    paths.data_record.unlink()
    assert finish(store, rows) == ("done", None)
    record = read_data_record(paths)
    assert record is not None
    assert record["attempts_before"] == 1
    assert len(record["sha256"]) == 64


def folder_of_images(root: Path) -> Path:
    """Write 32 images of each of two classes."""
    values = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(32):
            pixels = values.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_the_changed_image_is_named(store, tmp_path):
    root = folder_of_images(tmp_path / "pets")
    run = run_of(study_of(tmp_path, root, "KIND", "kind: images"))
    interrupted(store, run)
    image = root / "dog" / "2.png"
    Image.open(image).point(lambda v: 255 - v).save(image)
    reason = str(execute_run(store, run).reason)
    assert "data 'swap' changed" in reason
    assert "dog/2.png is sha256" in reason


def test_a_file_is_read_again_only_where_it_changed(store, rows, tmp_path, monkeypatch):
    from dit_core.records import file_hashes

    old = 1_600_000_000
    os.utime(tmp_path / "swap.npz", (old, old))
    monkeypatch.setattr(file_hashes, "SETTLED_S", -1.0)
    interrupted(store, rows)
    (kept,) = store.data.glob("files-*.json")
    assert read_json(kept)["files"].keys() == {"swap.npz"}
    read: list[Path] = []
    monkeypatch.setattr(file_hashes, "sha256_of", lambda path: read.append(path) or "0" * 64)
    assert finish(store, rows) == ("done", None)
    assert read == []
    save(tmp_path / "swap.npz", 1)
    os.utime(tmp_path / "swap.npz", (old, old))  # the size is the same, and so is the time
    paths = store.run(rows.run_id)
    paths.eval(rows.evaluations[0].eval_id).unlink()
    assert "data 'swap' changed" in str(execute_run(store, rows).reason)
    assert read == [tmp_path / "swap.npz"]
