"""What a study asks that cannot be measured is refused with its line; what this machine lacks is
said.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dit_core.cli.app import main
from dit_core.errors import StudyError
from dit_core.evaluate.protocol.check import check_study, unmeasured
from dit_core.evaluate.protocol.needs import missing_files
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.language.study_model import Study
from dit_core.study.science.run import Run

STUDY = """\
study: small
question: What is refused?
base:
  model: {depth: 2, hidden: 48, heads: 2, patch: 4}
  train: {duration: 4 steps, batch: 16}
axes: {train.seed: [0, 1], model.patch: [4, 8]}
evaluate:
  - {protocol: digits, sampler: ddpm, steps: 2}
  - {protocol: digits, sampler: ddpm, steps: 3, samples: 100}
claims:
  - id: first
    text: Smaller patches are better.
    kind: order
    metric: fd_digits
    by: patch
    order: 4 < 8
    where: {seed: 0}
"""


def read(tmp_path: Path, *change: str) -> tuple[Study, tuple[Run, ...]]:
    path = tmp_path / "x.yaml"
    path.write_text(STUDY.replace(*change) if change else STUDY)
    study = load_study(path)
    return study, expand(study).runs


def test_what_can_be_measured_passes(tmp_path):
    study, runs = read(tmp_path)
    check_study(study, runs)
    assert unmeasured(study, runs) == []
    assert missing_files(runs) == []


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (
            ("samples: 100", "samples: 60"),
            9,
            "evaluate: samples is 60, but a covariance of 64 features",
        ),
        (
            ("digits, sampler: ddpm, steps: 3", "vectors, steps: 3"),
            9,
            "samples are images of (1, 8, 8), but protocol",
        ),
        (
            ("metric: fd_digits", "metric: fd_digts"),
            14,
            "unknown metric 'fd_digts', did you mean 'fd_digits'",
        ),
        (
            ("where: {seed: 0}", "where: {seed: 7}"),
            17,
            "claims[0].where: no run of this study has seed 7; they have 0",
        ),
        (
            ("where: {seed: 0}", "where: {seed: true}"),
            17,
            "no run of this study has seed true; they have 0, 1",
        ),
        (
            ("where: {seed: 0}", "where: {seed: '0'}"),
            17,
            "no run of this study has seed '0'; they have 0, 1",
        ),
        (
            ("where: {seed: 0}", "where: {model_size: null}"),
            17,
            "has model_size nothing (null); they have 'XXXS'",
        ),
        (
            ("where: {seed: 0}", "where: {model_hidden: [48, 49]}"),
            17,
            "has model_hidden 49; they have 48",
        ),
        (
            ("order: 4 < 8", "order: 4 < 16"),
            16,
            "claims[0].order: no run of this study has patch 16",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_with_its_line(change, line, words, tmp_path):
    with pytest.raises(StudyError) as refused:
        check_study(*read(tmp_path, *change))
    (problem,) = refused.value.problems
    assert f"x.yaml:{line}: " in problem
    assert words in problem


def test_an_unknown_protocol_is_refused_as_it_is_read(tmp_path):
    with pytest.raises(
        StudyError, match=r"x\.yaml:8: evaluate\[0\]\.protocol: given 'digitz', did"
    ):
        read(
            tmp_path,
            "{protocol: digits, sampler: ddpm, steps: 2}",
            "{protocol: [digits, digitz], steps: 2}",
        )


def test_a_claim_that_no_evaluation_can_decide_is_named(tmp_path):
    study, runs = read(tmp_path, "metric: fd_digits", "metric: ink_r2")
    (line,) = unmeasured(study, runs)
    assert line.startswith("claim first: no evaluation of this study measures ink_r2; protocols: ")
    assert [name for name, protocol in PROTOCOLS.items() if "ink_r2" in protocol.metrics] == [
        line.split()[-1]
    ]


def test_a_claim_about_a_setting_that_nothing_is_sampled_with_is_named(tmp_path):
    study, runs = read(
        tmp_path, "where: {seed: 0}", "where: {steps: [2, 99], sampler: ddim, protocol: digits}"
    )
    check_study(study, runs)  # `ditlab evaluate` may add it
    said = "claim first: no evaluation of this study has "
    assert unmeasured(study, runs) == [f"{said}steps 99", f"{said}sampler 'ddim'"]


def test_the_line_is_that_of_the_block_that_asks_this_run(tmp_path):
    block = "  - {protocol: digits, sampler: ddpm, steps: 3, samples: 100}"
    one = "  - {protocol: digits, samples: 80, where: {model.patch: 4}}"
    two = "  - {protocol: digits, samples: 60, where: {model.patch: 8}}"
    with pytest.raises(StudyError, match=r"x\.yaml:10: evaluate: samples is 60"):
        check_study(*read(tmp_path, block, f"{one}\n{two}"))


@pytest.mark.parametrize("command", [["plan"], ["run"], ["submit", "-c", "lab"]])
def test_every_command_that_spends_refuses_alike(command, tmp_path, store, capsys):
    read(tmp_path, "samples: 100", "samples: 60")
    clusters = tmp_path / "clusters.yaml"
    clusters.write_text("lab: {partition: gpu, gpus_per_node: 4}\n")
    clusters.chmod(0o600)
    words = [command[0], str(tmp_path / "x.yaml"), *command[1:]]
    with pytest.raises(SystemExit) as ended:
        main(words + (["--profile-file", str(clusters), "--go"] if command[0] == "submit" else []))
    assert ended.value.code == 2
    assert "samples is 60" in capsys.readouterr().err
    assert not store.root.exists()


OWN = """\
study: own
question: Whose data?
base:
  data: {name: cells, kind: npz, channels: 1, height: 8, width: 8, classes: 2, images: 4}
  model: {depth: 2, hidden: 48, heads: 2, patch: 4}
  train: {duration: 4 steps, batch: 4}
evaluate: [{protocol: fid-10k, steps: 2}]
execution: {device: cpu, data_roots: {cells: cells.npz}}
"""


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


def test_what_a_machine_lacks_is_listed_once(own, monkeypatch):
    monkeypatch.setenv("DITLAB_OFFLINE", "1")
    runs = expand(load_study(own)).runs
    data, reference, weights = missing_files(runs * 2)
    assert data == "data 'cells': nothing at cells.npz on this machine"
    assert reference.startswith(
        "reference statistics 'cells' (made by `ditlab reference IMAGES --protocol fid-10k "
        "--name cells --size PIXELS`)"
    )
    assert "Inception weights" in weights
    np.savez(own.with_name("cells.npz"), images=0)
    own.with_name("inception.pth").touch()
    own.with_name("r.safetensors").touch()
    places = "inception: inception.pth, reference-cells: r.safetensors"
    own.write_text(OWN.replace("cells: cells.npz", f"cells: cells.npz, {places}"))
    assert missing_files(expand(load_study(own)).runs) == []
    own.write_text(OWN.replace("{cells: cells.npz}", "{}"))
    assert missing_files(expand(load_study(own)).runs)[0].startswith("data 'cells' has no place")


def test_the_home_folder_may_be_written_short(own, monkeypatch):
    monkeypatch.setenv("HOME", str(own.parent))
    own.write_text(OWN.replace("cells.npz}}", "~/cells.npz}}"))
    runs = expand(load_study(own)).runs
    assert runs[0].execution.data_roots == {"cells": f"{own.parent}/cells.npz"}
    assert any(f"nothing at {own.parent}/cells.npz" in line for line in missing_files(runs))


def test_a_fault_in_the_data_is_found_before_anything_starts(own, store, capsys):
    images = np.zeros((4, 8, 8), np.uint8)
    labels = np.array([0, 1, 2, 0])
    np.savez(own.with_name("cells.npz"), images=images, labels=labels)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(own)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(
        "error: cells.npz: labels[2] is 2; with data.classes 2 labels are 0..1"
    )
    assert not store.root.exists()


FASHION = """\
study: own
question: Is a protocol of one data set taken for another?
base:
  data: {name: fashion8, kind: npz, channels: 1, height: 8, width: 8, classes: 10, images: 500}
  model: {depth: 2, hidden: 48, heads: 2, patch: 4}
  train: {duration: 4 steps, batch: 16}
evaluate:
  - {protocol: PROTOCOL, sampler: ddpm, steps: 2, samples: 100}
"""
LATENTS = """\
study: latents
question: Are latents of another number of classes ImageNet?
base:
  data: {name: mine, kind: latents, channels: 4, height: 32, width: 32, classes: N, images: 500}
  model: {size: S, patch: 8}
  train: {duration: 4 steps, batch: 16}
evaluate:
  - {protocol: dit-scaling, at: [end]}
"""


def refusal(tmp_path: Path, text: str) -> list[str]:
    """Return what `plan` refuses in a study."""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    study = load_study(path)
    try:
        check_study(study, expand(study).runs)
    except StudyError as refused:
        return list(refused.problems)
    return []


@pytest.mark.parametrize(
    "name", ["digits", "digits-completion", "digits-coarse", "digits-obedience"]
)
def test_own_images_are_not_measured_against_handwritten_digits(name, tmp_path):
    (problem,) = refusal(tmp_path, FASHION.replace("PROTOCOL", name))
    assert "own.yaml:8: " in problem
    assert f"data is 'fashion8', but protocol {name!r} measures" in problem
    assert "digits" in problem


def test_only_a_set_of_1000_classes_is_measured_against_imagenet(tmp_path):
    assert refusal(tmp_path, LATENTS.replace("classes: N", "classes: 1000")) == []
    (problem,) = refusal(tmp_path, LATENTS.replace("classes: N", "classes: 10"))
    assert "own.yaml:8: " in problem
    assert "data has 10 classes, but protocol 'dit-scaling' compares with 'imagenet-256'" in problem


def test_inception_weights_that_would_be_downloaded_are_listed_too(own, monkeypatch, tmp_path):
    monkeypatch.delenv("DITLAB_OFFLINE", raising=False)
    monkeypatch.setenv("DITLAB_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    *_, weights = missing_files(expand(load_study(own)).runs)
    assert weights.endswith("not on this machine, would be downloaded")
