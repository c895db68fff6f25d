"""`ditlab sample` and `ditlab evaluate`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from PIL import Image

from dit_core.cli.app import main
from dit_core.evaluate.protocol.fit import misfits
from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.catalogue.protocols import PROTOCOLS, protocol_of
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data

STUDY = """
study: small
question: Does the command work?
base:
  data: {name: digits}
  model: {depth: 2, hidden: 48, heads: 2, patch: 4}
  objective: {name: ddpm}
  train: {duration: 30 steps, batch: 32, lr: 1e-3, ema: 0.9}
evaluate:
  - {protocol: digits, at: [100%], sampler: ddpm, steps: [2, 3], samples: 100}
execution: {device: cpu, sample_batch: 32}
"""


def test_sample_draws_classes_by_row_and_settings_by_column(trained, tmp_path, capsys):
    target = tmp_path / "grid.png"
    kept = tmp_path / "kept"
    words = [
        "sample",
        trained.paths.root.name[:6],
        "--steps",
        "2,3",
        "--guidance",
        "1,4",
        "--per-class",
        "2",
    ]
    call([*words, "--out", str(target), "--keep", str(kept), "--json", "--device", "cpu"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["columns"] == ["2 steps", "2 steps, g 4", "3 steps", "3 steps, g 4"]
    assert facts["rows"] == 10
    with Image.open(target) as image:
        pixels = np.asarray(image)
    assert pixels.shape[2] == 3
    assert pixels.shape[0] > 10 * 32
    assert pixels.std() > 10
    assert len(list(kept.rglob("*.png"))) == 4 * 10 * 2
    assert (kept / "ddpm-2-g4" / "9" / "000001.png").is_file()


def test_sample_and_evaluation_make_the_same_images(trained, execution, tmp_path):
    from dit_core.evaluate.one_evaluation import evaluate

    evaluate(trained.paths, trained.science, trained.plan(), execution, keep=tmp_path / "e")
    name = trained.paths.root.name
    call(
        [
            "sample",
            name,
            "--steps",
            "2",
            "--per-class",
            "3",
            "--keep",
            str(tmp_path / "s"),
            "--device",
            "cpu",
        ]
    )
    worst = 0
    for label in range(10):
        for k in range(3):
            a, b = (
                np.asarray(Image.open(p), dtype=int)
                for p in (
                    tmp_path / "e" / f"{label + 10 * k:06d}.png",
                    tmp_path / "s" / "ddpm-2-g1" / str(label) / f"{k:06d}.png",
                )
            )
            worst = max(worst, np.abs(a - b).max())
    assert worst <= 1  # another batch may round a grey level the other way


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zz"], "is not a run id"),
        (["00ff"], "no run '00ff'"),
        (["RUN", "--steps", "two"], "--steps 'two': write numbers"),
        (["RUN", "--steps", "2000"], "2000 sampling steps out of 1000"),
        (["RUN", "--guidance", "-1"], "guidance -1"),
        (["RUN", "--sampler", "euler"], "does not go with objective 'ddpm'"),
        (["RUN", "--sampler", "dppm"], "sampler 'dppm'"),
        (["RUN", "--at", "5"], "kept points: 960"),
        (["RUN", "--classes", "0"], "must be at least 1"),
        (["RUN", "--device", "tpu"], "allowed are auto, cpu, cuda"),
    ],
)
def test_what_sample_refuses(arguments, words, trained, capsys):
    name = trained.paths.root.name
    with pytest.raises(SystemExit) as ended:
        main(["sample", *(name if a == "RUN" else a for a in arguments)])
    message = capsys.readouterr().err
    assert ended.value.code in (1, 2)
    assert words in message
    assert "Traceback" not in message


def test_evaluate_makes_what_is_missing_in_parts(trained, tmp_path: Path, capsys, store):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY)
    found = []
    for words in (["--part", "1/2"], ["--part", "2/2"], []):
        call(["evaluate", str(study), "--json", *words])
        found.append(json.loads(capsys.readouterr().out))
    assert [len(f["unfinished"]) for f in found] == [2, 0, 0]
    assert [len(f["made"]) for f in found] == [0, 2, 0]
    study.write_text(
        STUDY.replace("[100%]", "[50%, 100%]")
    )  # a new axis: back-filled, never trained again
    call(["evaluate", str(study), "--json"])
    assert len(json.loads(capsys.readouterr().out)["waiting"]) == 2


def test_few_samples_need_a_word_and_altered_weights_wait_for_training(
    trained, tmp_path: Path, capsys
):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY.replace("samples: 100", "samples: 50"))
    call(["evaluate", str(study)], code=2)
    assert "needs more than 64" in capsys.readouterr().err
    call(["evaluate", str(study), "--few"])
    call(["evaluate", str(study), "--part", "3/2"], code=2)
    study.write_text(STUDY)
    weights = trained.paths.snapshot(960) / "ema.safetensors"
    weights.write_bytes(weights.read_bytes().replace(b"x", b"y", 1))
    call(["evaluate", str(study)])
    assert "2 waiting for training" in capsys.readouterr().out


def evaluation(protocol: Protocol, **changes) -> Evaluation:
    values = {
        "sampler": protocol.sampler or "ddpm",
        "steps": (protocol.steps or (10,))[0],
        "guidance": protocol.guidance or 1.0,
        "guidance_channels": protocol.guidance_channels or "all",
    }
    samples = changes.pop("samples", protocol.samples or 500)
    sampling = Sampling(**{**values, **changes})
    return Evaluation(images_seen=1, protocol=protocol.name, samples=samples, sampling=sampling)


LATENTS = Data(name="x", kind="latents", channels=4, height=32, width=32, classes=1000, images=10)
PAPERS = [
    "dit-scaling",
    "dit-table2",
    "dit-fig10",
    "dit-scaling-512",
    "dit-table2-cfg100",
    "dit-table2-cfg125",
    "dit-table3",
    "dit-table3-cfg100",
    "dit-table3-cfg125",
]


@pytest.mark.parametrize("name", ["digits", *PAPERS, *(f"{name}-balanced" for name in PAPERS)])
def test_a_protocol_accepts_its_own_settings_and_no_others(name: str):
    protocol = protocol_of(name)
    data = Data() if name == "digits" else LATENTS
    assert misfits(protocol, data, evaluation(protocol)) == []
    assert misfits(protocol, data, evaluation(protocol, samples=40))
    if name != "digits":
        assert misfits(protocol, data, evaluation(protocol, steps=17))
        assert misfits(protocol, data, evaluation(protocol, guidance=4.0))
        assert misfits(protocol, data, evaluation(protocol, sampler="ddim"))
        assert misfits(protocol, Data(), evaluation(protocol))


def test_a_study_that_gives_no_number_takes_the_samples_of_its_protocol():
    taken = {name: row.default_samples for name, row in PROTOCOLS.items()}
    assert {name: row.samples or 1797 for name, row in PROTOCOLS.items()} == taken
    assert taken["dit-scaling"] == taken["fid-50k"] == 50_000
    assert taken["dit-fig10"] == 10_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("protocol: digits", "protocol: dit-scaling"),
            "protocol 'dit-scaling' is defined with 50000",
        ),
        (("protocol: digits", "protocol: digitz"), "did you mean 'digits'"),
    ],
)
def test_a_plan_refuses_what_a_protocol_does_not_allow(
    change, words, tmp_path: Path, store, capsys
):
    study = tmp_path / "small.yaml"
    study.write_text(STUDY.replace(*change))
    call(["plan", str(study)], code=2)
    assert words in capsys.readouterr().err
