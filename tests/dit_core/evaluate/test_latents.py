"""From latents to a record: VAE decoder, Inception, reference and the calibration gate, on small
random networks.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from inception import pictures, protocol_for, save_npz
from trained import trained_run

from dit_core.cli.app import main
from dit_core.errors import EnvironmentProblem, UserError
from dit_core.evaluate.features.extractors import make_extractor
from dit_core.evaluate.one_evaluation import evaluate
from dit_core.evaluate.samples.decoder import make_decoder
from dit_core.evaluate.samples.generate import Generator
from dit_core.records.disk.files import sha256_of
from dit_core.study.catalogue.protocol import Decoder
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Data

DATA = Data(name="tiny", kind="latents", channels=4, height=4, width=4, classes=5, images=100)


pytestmark = pytest.mark.usefixtures("small_input")


@pytest.fixture(scope="module")
def assets(tmp_path_factory, inception_weights) -> Path:
    """Return a folder with Inception weights and a VAE of factor 8, both random."""
    from diffusers import AutoencoderKL

    folder = tmp_path_factory.mktemp("assets")
    (folder / "inception.pth").symlink_to(inception_weights)
    torch.manual_seed(0)
    kinds = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        **kinds,
    )
    vae.save_pretrained(folder / "tiny-vae")
    return folder


@pytest.fixture
def protocol(assets, monkeypatch):
    """Return a protocol "small" of the tiny networks, known by its name."""
    weights = assets / "inception.pth"
    decoder = Decoder(hub="nobody/tiny-vae", revision="0" * 40)
    narrow = {
        "name": "small",
        "layer": "64",
        "width": 64,
        "decoder": decoder,
        "metrics": ("fid", "precision", "recall"),
    }
    made = protocol_for(weights, **narrow, sampler=None, steps=(), guidance=None)
    monkeypatch.setitem(PROTOCOLS, "small", made)
    return made


@pytest.fixture
def execution(assets, tmp_path, protocol) -> Execution:
    """Return an execution that names all files, the reference made by the command."""
    real = save_npz(tmp_path / "real.npz", pictures(2, 80))
    target = tmp_path / "reference.safetensors"
    weights = str(assets / "inception.pth")
    call(
        ["reference", str(real), "--protocol", "small", "--out", str(target), "--weights", weights]
    )
    roots = {
        "inception": weights,
        "tiny-vae": str(assets / "tiny-vae"),
        "reference-imagenet-256": str(target),
    }
    return Execution(device="cpu", sample_batch=32, data_roots=roots)


@pytest.fixture
def latent_run(store, tiny):
    science = tiny.model_copy(update={"data": DATA})
    return trained_run(store, science, scale=0.1)


def test_latents_are_decoded_and_scored(latent_run, execution, assets):
    planned = latent_run.plan(samples=70, protocol="small")
    record = evaluate(latent_run.paths, latent_run.science, planned, execution)
    protocol = record["protocol"]
    assert record["metrics"]["fid"]["value"] > 0
    assert protocol["decoder"]["weights_sha256"] == sha256_of(
        assets / "tiny-vae" / "diffusion_pytorch_model.safetensors"
    )
    assert protocol["decoder"]["scale"] == 0.18215
    assert record["marks"] == ["uncalibrated"]


def test_the_decoder_divides_by_the_scale_and_works_in_float32(assets, protocol):
    from diffusers import AutoencoderKL

    roots = {"tiny-vae": str(assets / "tiny-vae")}
    decode, _ = make_decoder(protocol, DATA, roots, torch.device("cpu"))
    latents = torch.randn(20, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    vae = AutoencoderKL.from_pretrained(assets / "tiny-vae").eval()
    with torch.no_grad():
        direct = vae.decode(latents / 0.18215).sample
    found = decode(latents.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, direct, rtol=1e-4, atol=1e-5)


def test_another_vae_or_latent_shape_is_refused_before_sampling(
    latent_run, execution, protocol, monkeypatch
):
    monkeypatch.setattr(Generator, "images", lambda *_: pytest.fail("sampled"))
    other = replace(protocol.decoder, weights_sha256="ab" * 32)
    monkeypatch.setitem(PROTOCOLS, "small", replace(protocol, decoder=other))
    planned = latent_run.plan(samples=70, protocol="small")
    with pytest.raises(
        EnvironmentProblem, match=r"sha256.*but protocol 'small' is defined with abababab"
    ):
        evaluate(latent_run.paths, latent_run.science, planned, execution)
    monkeypatch.setitem(PROTOCOLS, "small", replace(protocol, image=(3, 64, 64)))
    with pytest.raises(UserError, match="data is 4x4x4, but images of 64 pixels"):
        evaluate(latent_run.paths, latent_run.science, planned, execution)


def test_an_offline_machine_is_told_where_the_vae_goes(protocol, tmp_path, monkeypatch):
    monkeypatch.setenv("DITLAB_OFFLINE", "1")
    monkeypatch.setenv("DITLAB_ASSETS", str(tmp_path))
    with pytest.raises(
        EnvironmentProblem, match=r"nobody/tiny-vae is not on this machine.*data_roots\.tiny-vae"
    ):
        make_decoder(protocol, DATA, None, torch.device("cpu"))


def scored(protocol, execution, images) -> dict[str, float]:
    """Return what the protocol gives these images, by the library."""
    from dit_core.evaluate.features.reference import reference_of
    from dit_core.evaluate.samples.sources import open_source
    from dit_core.evaluate.score import score

    extractor = make_extractor(protocol, execution.data_roots)
    reference = reference_of(protocol, extractor, execution.data_roots)
    return {
        k: v["value"] for k, v in score(protocol, open_source(images), extractor, reference).items()
    }


def test_the_gate_passes_fails_and_marks_rows(
    latent_run, execution, protocol, tmp_path, capsys, store
):
    samples = save_npz(tmp_path / "public.npz", pictures(1, 70))
    truth = scored(protocol, execution, samples)
    roots = execution.data_roots
    common = [
        "validate",
        "small",
        str(samples),
        "--json",
        "--reference",
        roots["reference-imagenet-256"],
    ]
    common += ["--weights", roots["inception"]]
    capsys.readouterr()
    call([*common, "--expect", f"fid={truth['fid'] * 1.02}"], code=1)
    failed = json.loads(capsys.readouterr().out)
    assert failed["passed"] is False
    assert failed["rows"][0]["deviation"] == pytest.approx(1 / 1.02 - 1, rel=1e-3)
    before = evaluate(
        latent_run.paths,
        latent_run.science,
        latent_run.plan(samples=70, protocol="small"),
        execution,
    )
    expected = [
        f"fid={truth['fid'] * 1.003}",
        f"precision={truth['precision'] + 0.004}",
        f"recall={truth['recall']}",
    ]
    call([*common, *(word for e in expected for word in ("--expect", e))])
    assert json.loads(capsys.readouterr().out)["passed"] is True
    planned = latent_run.plan(samples=70, protocol="small", seed=1)
    after = evaluate(latent_run.paths, latent_run.science, planned, execution)
    assert (before["marks"], after["marks"]) == (["uncalibrated"], [])
    record = store.root / "calibration" / "small.json"
    record.write_text(
        record.read_text().replace(
            json.loads(record.read_text())["identity"]["weights_sha256"], "0"
        )
    )
    other = evaluate(
        latent_run.paths,
        latent_run.science,
        latent_run.plan(samples=70, protocol="small", seed=2),
        execution,
    )
    assert other["marks"] == ["uncalibrated"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "x.npz"], "needs no validation"),
        (["small", "PUBLIC"], "no published numbers are known"),
        (["small", "PUBLIC", "--expect", "fid"], "METRIC=NUMBER"),
        (["small", "PUBLIC", "--expect", "fdi=3"], "no tolerance for fdi"),
        (["small", "missing.npz", "--expect", "fid=3"], "no such file"),
        (["smal", "PUBLIC", "--expect", "fid=3"], "did you mean 'small'"),
    ],
)
def test_what_validate_refuses(arguments, words, protocol, tmp_path, capsys):
    public = save_npz(tmp_path / "public.npz", pictures(1, 70))
    with pytest.raises(SystemExit) as ended:
        main(["validate", *(str(public) if a == "PUBLIC" else a for a in arguments)])
    assert ended.value.code in (2, 3)
    assert words in capsys.readouterr().err


def test_a_known_batch_brings_its_published_numbers():
    from dit_core.evaluate.validate import compare, expected_of

    expected = expected_of(Path("admnet_guided_upsampled_imagenet256.npz"), {})
    assert expected == {
        "fid": 3.9426,
        "sfid": 6.1404,
        "is": 215.84,
        "precision": 0.8265,
        "recall": 0.5309,
    }
    rows = compare(
        {name: {"value": value} for name, value in expected.items() if name != "recall"}, expected
    )
    assert [row["ok"] for row in rows] == [True, True, True, True, False]


def test_references_from_a_folder_and_from_latents(assets, protocol, tmp_path, capsys, monkeypatch):
    from PIL import Image

    from dit_core.data.latents.encode import encode, encoding_of
    from dit_core.data.latents.vae import find_vae

    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
    for i, image in enumerate(pictures(1, 70)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(
            tmp_path / "images" / "ab"[i % 2] / f"{i}.png"
        )
    vae = find_vae(str(assets / "tiny-vae"))
    encode(encoding_of(tmp_path / "images", vae, tmp_path / "latents", size=32))
    capsys.readouterr()
    sums = []
    for source in ("images", "latents"):
        out = tmp_path / f"{source}.safetensors"
        words = [
            "reference",
            str(tmp_path / source),
            "--protocol",
            "small",
            "--out",
            str(out),
            "--keep",
            "40",
            "--json",
        ]
        call(
            [*words, "--weights", str(assets / "inception.pth"), "--vae", str(assets / "tiny-vae")]
        )
        facts = json.loads(capsys.readouterr().out)
        assert (facts["images"], facts["features_kept"], facts["file"]) == (70, 40, str(out))
        sums.append(out)
    from safetensors.numpy import load_file

    first, second = (load_file(path)["mean"] for path in sums)
    assert first.shape == second.shape == (64,)
    assert not np.allclose(first, second)  # a random decoder does not give the images back


def test_any_pixel_data_has_a_reference_of_its_own_name(
    store, tiny, assets, tmp_path, capsys, monkeypatch
):
    weights = assets / "inception.pth"
    narrow = {
        "weights_sha256": sha256_of(weights),
        "layer": "64",
        "width": 64,
        "samples": 70,
        "metrics": ("fid",),
    }
    monkeypatch.setitem(PROTOCOLS, "fid-10k", replace(PROTOCOLS["fid-10k"], **narrow))
    real = save_npz(tmp_path / "real.npz", pictures(2, 80))
    out = tmp_path / "reference.safetensors"
    words = [
        "reference",
        str(real),
        "--protocol",
        "fid-10k",
        "--out",
        str(out),
        "--weights",
        str(weights),
    ]
    call(words, code=2)
    assert "--name is missing" in capsys.readouterr().err
    call([*words, "--name", "colours"])
    assert "reference-colours:" in capsys.readouterr().out
    data = Data(name="colours", kind="images", channels=3, height=8, width=8, classes=2, images=80)
    run = trained_run(store, tiny.model_copy(update={"data": data}), scale=0.1)
    roots = {"inception": str(weights), "reference-colours": str(out)}
    execution = Execution(device="cpu", sample_batch=32, data_roots=roots)
    record = evaluate(run.paths, run.science, run.plan(samples=70, protocol="fid-10k"), execution)
    assert record["metrics"]["fid"]["value"] > 0
