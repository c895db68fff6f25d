"""What is said and refused before anything is spent: files, data, disk space and time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import answer
from PIL import Image

from dit_core.cli.shared.reasons import Reasons, grouped
from dit_core.cli.shared.run_names import broken
from dit_core.errors import nearest

BASE = "base: {model: {size: XXXXS, patch: 4}, train: {duration: 40 steps, batch: 8}}"
DIGITS = f"study: few\nquestion: q\n{BASE}\n"
IMAGES = """\
study: cells
question: q
base:
  data: {name: cells, kind: images, channels: 3, height: 8, width: 8, classes: 2, images: 4}
  model: {size: XXXXS, patch: 4}
  train: {duration: 2 steps, batch: 8}
axes: {train.seed: [0, 1]}
evaluate: EVALUATE
execution: {data_roots: {cells: cells}, device: cpu, threads: 1, workers: 1}
"""
FID = "{protocol: fid-10k, sampler: ddim, steps: 5}"


@pytest.fixture
def study(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "few.yaml"
    path.write_text(DIGITS)
    return path


@pytest.fixture
def cells(tmp_path: Path, study: Path) -> Path:
    """Return the file of a study of four small images of two classes."""
    draw = np.random.default_rng(0)
    for number in range(4):
        folder = tmp_path / "cells" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    path = tmp_path / "cells.yaml"
    path.write_text(IMAGES.replace("EVALUATE", "[]"))
    return path


def test_a_run_that_could_not_be_evaluated_is_not_trained(cells, store, capsys, monkeypatch):
    monkeypatch.setenv("DITLAB_OFFLINE", "1")
    monkeypatch.setenv("DITLAB_ASSETS", str(cells.parent / "assets"))
    monkeypatch.setenv("TORCH_HOME", str(cells.parent / "torch"))
    cells.write_text(IMAGES.replace("EVALUATE", FID))
    code, _, err = answer(capsys, "run", str(cells))
    assert code == 3
    assert err.count("\n") == 1
    assert "nothing was started: 2 runs could be trained and not evaluated" in err
    assert "--name cells" in err
    assert "Inception weights" in err
    assert "--train-anyway" in err
    assert not store.root.exists()


def test_a_corrupt_image_is_found_before_anything_starts(cells, store, capsys):
    image = cells.parent / "cells/class1/3.png"
    image.write_bytes(image.read_bytes()[:60])
    code, _, err = answer(capsys, "run", str(cells))
    assert (code, err.count("\n")) == (2, 1)
    assert "class1/3.png: does not decode as an image" in err
    assert not store.root.exists()


def test_a_file_that_is_no_image_is_named_without_our_buffer(cells, store, capsys):
    (cells.parent / "cells/class1/3.png").write_text("no image at all")
    err = answer(capsys, "run", str(cells))[2]
    assert "class1/3.png: does not decode" in err
    assert "BytesIO" not in err


def test_what_is_odd_about_images_is_said(cells, store, capsys):
    folder = cells.parent / "cells/class0"
    Image.fromarray(np.eye(5, dtype=np.uint8) * 255).save(folder / "0.png")
    said = answer(capsys, "run", str(cells))[1]
    assert "mixed colour modes (3 RGB, 1 L), all read as colour" in said
    assert "1 image smaller than 8x8, enlarged" in said
    assert "batch 8 is larger than data 'cells' (4 images)" in said


def test_a_class_without_samples_is_said(study, store, capsys):
    study.write_text(
        "study: few\nquestion: q\nbase:\n"
        "  data: {name: own, kind: npz, channels: 1, height: 8, width: 8, classes: 3, images: 8}\n"
        "  model: {size: XXXXS, patch: 4}\n  train: {duration: 2 steps, batch: 8}\n"
        "execution: {data_roots: {own: own.npz}, device: cpu, threads: 1}\n"
    )
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1)).astype(np.uint8)
    np.savez("own.npz", images=images, labels=np.array([0, 2] * 4))
    said = answer(capsys, "run", str(study))[1]
    assert "warning: data 'own': 1 class without samples: 1" in said


def test_the_disk_space_of_a_plan_is_that_of_the_run(study, store, capsys):
    study.write_text(DIGITS + "execution: {save_every_s: 0.001, device: cpu, threads: 1}\n")
    totals = json.loads(answer(capsys, "plan", str(study), "--json")[1])["totals"]
    assert answer(capsys, "run", str(study))[0] == 0
    used = sum(file.stat().st_size for file in store.runs.rglob("*") if file.is_file())
    assert totals["disk_bytes"] + totals["checkpoint_bytes"] == pytest.approx(used, rel=0.1)


@pytest.mark.slow
def test_minutes_measures_once_and_keeps_it(study, store, capsys, monkeypatch):
    monkeypatch.setattr("dit_core.bench.quick.LIMIT_S", 300.0)  # a busy machine
    assert (
        "time: not measured on this machine; --minutes does it"
        in answer(capsys, "plan", str(study))[1]
    )
    assert not store.root.exists()
    first = answer(capsys, "plan", str(study), "--minutes")[1]
    assert "s just now)" in first
    assert "images/s" in first
    row = json.loads(answer(capsys, "plan", str(study), "--json")[1])["runs"][0]
    assert row["predicted_images_per_s"] > 0
    assert row["predicted_s"] > 40 * 8 / row["predicted_images_per_s"]


def test_equal_reasons_are_one_line_with_a_count():
    reasons = {f"run {i}": f"evaluation {i:016x}: no weights" for i in range(16)} | {"x": "other"}
    same, other = grouped(reasons, "run")
    assert same.startswith("16 runs (run 0; run 1; run 2; run 3, and 12 more): evaluation 0000")
    assert other == "x: other"
    seen = Reasons()
    assert [seen.short(r) for r in list(reasons.values())[:2]] == [
        "evaluation 0000000000000000: no weights",
        "for the same reason",
    ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("size=XS", ["size=XS"]),
        ("size=XXXXS,patch=4", ["size=XXXXS,", "patch=4"]),
        ("size=XS,conditioning=cross-attention", ["size=XS,", "conditioning=", "cross-attention"]),
    ],
)
def test_names_break_at_commas_then_at_equal_signs(name, lines):
    assert broken(name, 16).split("\n") == lines


def test_the_nearest_word_is_the_same_in_other_letters():
    assert nearest("xs", ["XXS", "XS", "x"]) == ", did you mean 'XS'?"
