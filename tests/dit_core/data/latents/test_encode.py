"""`ditlab encode`: the same bytes whatever happened on the way, and every wrong input named before
work is lost.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time

import numpy as np
import pytest
from PIL import Image

from dit_core.cli.app import main
from dit_core.data.latents.encode import encode, encoding_of
from dit_core.data.latents.vae import find_vae
from dit_core.errors import DataError, EnvironmentProblem, UserError


def _contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def _encode(source, vae, out, **options):
    part = options.pop("part", (1, 1))
    return encode(
        encoding_of(
            source, find_vae(str(vae)), out, **{"size": 16, "shard": 8, "batch": 4} | options
        ),
        1,
        part,
    )


@pytest.fixture(scope="module")
def source(make_folder):
    """Thirty small images of four classes."""
    return make_folder(30)


@pytest.fixture(scope="module")
def forkserver():
    """Processes that begin with everything imported, so that a kill costs no import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["dit_core.data.latents.shards", "diffusers.models.autoencoders.autoencoder_kl"]
    )
    return context


def _pass(source, vae, out, processes):
    encode(encoding_of(source, find_vae(str(vae)), out, size=16, shard=4, batch=4), processes)


def _kill_after(process, out, more):
    """Kill with SIGKILL once `more` further shards are there and a random moment has passed; False
    if it ended.
    """
    have = len(list(out.glob("shard-*.json")))
    while len(list(out.glob("shard-*.json"))) < have + more:
        if process.exitcode is not None:
            return False
        time.sleep(0.001)
    time.sleep(random.random() * 0.03)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_five_times_the_shards_equal_an_undisturbed_pass(
    forkserver, make_folder, tiny_vae, tmp_path
):
    source = make_folder(200)
    calm = tmp_path / "calm"
    rough = tmp_path / "rough"
    _encode(source, tiny_vae, calm, shard=4)
    kills = 0
    # The second kill leaves pool workers without their parent: they must die and not disturb the
    # next pass.
    for more, processes in enumerate([1, 2, 1, 1, 1], start=1):
        process = forkserver.Process(target=_pass, args=(source, tiny_vae, rough, processes))
        process.start()
        kills += _kill_after(process, rough, more)
    assert not (rough / "manifest.json").exists()
    last = forkserver.Process(target=_pass, args=(source, tiny_vae, rough, 1))
    last.start()
    last.join(120)
    assert last.exitcode == 0
    a = _contents(calm)
    b = _contents(rough)
    same = sum(a[name] == b.get(name) for name in a)
    print(f"kills {kills}, files identical {same} of {len(a)}, others {len(b) - same}")
    assert (kills, same, len(b)) == (5, 102, 102)


def test_a_second_pass_keeps_everything_and_changes_nothing(source, tiny_vae, tmp_path):
    first = _encode(source, tiny_vae, tmp_path)
    before = _contents(tmp_path)
    second = _encode(source, tiny_vae, tmp_path)
    assert (first["encoded"], first["kept"], second["encoded"], second["kept"]) == (4, 0, 0, 4)
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("loss", ["record", "shard", "bit", "tail", "manifest", "torn record"])
def test_what_was_lost_or_damaged_is_made_again(loss, source, tiny_vae, tmp_path):
    _encode(source, tiny_vae, tmp_path)
    before = _contents(tmp_path)
    shard = tmp_path / "shard-00002.safetensors"
    record = tmp_path / "shard-00002.json"
    damaged = bytearray(shard.read_bytes())
    damaged[-100] ^= 1
    {
        "record": record.unlink,
        "shard": shard.unlink,
        "bit": lambda: shard.write_bytes(damaged),
        "tail": lambda: shard.write_bytes(damaged[:-50]),
        "manifest": (tmp_path / "manifest.json").unlink,
        "torn record": lambda: record.write_text('{"file": "sha'),
    }[loss]()
    (tmp_path / ".shard-00002.safetensors.0123.tmp").write_bytes(b"left by a kill")
    facts = _encode(source, tiny_vae, tmp_path)
    assert facts["kept"] == (4 if loss == "manifest" else 3)
    assert _contents(tmp_path) == before


def test_parts_on_several_machines_make_the_same_folder(source, tiny_vae, tmp_path):
    _encode(source, tiny_vae, tmp_path / "whole")
    facts = [_encode(source, tiny_vae, tmp_path / "parts", part=(i, 3)) for i in (3, 1, 2)]
    assert [f["missing"] for f in facts] == [3, 1, 0]
    assert [f["done"] for f in facts] == [False, False, True]
    assert _contents(tmp_path / "parts") == _contents(tmp_path / "whole")


def test_corrupt_images_are_all_named_and_the_rest_is_kept(make_folder, tiny_vae, tmp_path):
    source = make_folder(31)
    good = (source / "class1" / "00005.png").read_bytes()
    (source / "class1" / "00005.png").write_bytes(good[:60])
    (source / "class3" / "00027.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        _encode(source, tiny_vae, tmp_path)
    text = str(caught.value)
    assert "class1/00005.png" in text
    assert "class3/00027.png" in text
    assert "2 images do not decode" in text
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("size", 32), ("dtype", "float16"), ("shard", 4), ("batch", 8)]
)
def test_another_encoding_in_the_same_folder_is_refused(option, value, source, tiny_vae, tmp_path):
    _encode(source, tiny_vae, tmp_path)
    with pytest.raises(
        UserError, match=f"holds another encoding .*{option}: there .*, asked {value}"
    ):
        _encode(source, tiny_vae, tmp_path, **{option: value})


def test_images_that_changed_since_are_refused(make_folder, tiny_vae, tmp_path):
    source = make_folder(12)
    _encode(source, tiny_vae, tmp_path)
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(source / "class0" / "more.png")
    with pytest.raises(UserError, match="images: there 12, asked 13"):
        _encode(source, tiny_vae, tmp_path)


def test_a_vae_that_gives_nan_names_the_image(source, tiny_vae, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "vae"
    broken.mkdir()
    (broken / "config.json").write_bytes((tiny_vae / "config.json").read_bytes())
    weights = load_file(tiny_vae / "diffusion_pytorch_model.safetensors")
    weights["quant_conv.bias"] = torch.full_like(weights["quant_conv.bias"], float("nan"))
    save_file(weights, broken / "diffusion_pytorch_model.safetensors")
    with pytest.raises(
        DataError, match=r"class0/00000\.png: its latent is not finite; is the VAE whole"
    ):
        _encode(source, broken, tmp_path / "z")


def test_too_little_space_is_said_before_work_starts(source, tiny_vae, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(EnvironmentProblem, match=r"GiB are needed, 0\.0 GiB are free"):
        _encode(source, tiny_vae, tmp_path)


WRONG = {
    "size": (["--size", "17"], 2, "--size 17 is not a multiple of 2"),
    "dtype": (["--dtype", "bf16"], 2, "--dtype 'bf16': allowed are"),
    "shard": (["--shard", "0"], 2, "--shard 0: must be at least 1"),
    "processes": (["--processes", "0"], 2, "--processes 0"),
    "part": (["--part", "3/2"], 2, "--part '3/2': write i/n"),
    "device": (["--device", "tpu"], 2, "--device 'tpu': allowed are auto, cpu, cuda"),
    "hub without revision": (
        ["--vae", "stabilityai/sd-vae-ft-ema"],
        2,
        "needs its revision pinned",
    ),
    "no such vae": (["--vae", "./absent"], 2, "is neither a folder here nor"),
    "vae without files": (["--vae", "."], 3, "has no config.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_one_line_and_an_exit_code(
    case, source, tiny_vae, tmp_path, capsys, monkeypatch
):
    extra, code, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    command = [
        "encode",
        str(source),
        "--vae",
        str(tiny_vae),
        "--size",
        "16",
        "--out",
        str(tmp_path / "z"),
    ]
    with pytest.raises(SystemExit) as caught:
        main([*command, *extra])
    lines = capsys.readouterr().err.strip().splitlines()
    assert (caught.value.code, len(lines)) == (code, 1)
    assert message in lines[0]
    assert not (tmp_path / "z").exists()


def test_output_inside_the_images_is_refused(make_folder, tiny_vae):
    source = make_folder(4)
    with pytest.raises(UserError, match="lies inside the image folder"):
        _encode(source, tiny_vae, source / "class0" / "z")


def test_the_command_tells_what_to_write_in_a_study_and_verify_finds_damage(
    source, tiny_vae, tmp_path, capsys
):
    from dit_core.data.load import load_data
    from dit_core.study.science.science import Data

    out = tmp_path / "z"
    command = [
        "encode",
        str(source),
        "--vae",
        str(tiny_vae),
        "--size",
        "16",
        "--out",
        str(out),
        "--processes",
        "1",
    ]
    main_ok([*command, "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert len(load_data(Data(name="z", **facts["data"]), str(out))) == 30
    main_ok(["encode", str(out), "--verify", "--json"])
    assert json.loads(capsys.readouterr().out)["bad"] == 0
    shard = out / "shard-00000.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[500] ^= 4
    shard.write_bytes(damaged)
    with pytest.raises(SystemExit) as caught:
        main(["encode", str(out), "--verify"])
    assert caught.value.code == 2
    assert "shard-00000.safetensors: has another sha256" in capsys.readouterr().err
    main_ok(command)
    assert "1 mended" in capsys.readouterr().out
    main_ok(["encode", str(out), "--verify"])
    assert "1 shards, all whole" in capsys.readouterr().out


def main_ok(arguments):
    """Run a command that must succeed."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code in (0, None)
