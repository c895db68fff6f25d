"""Latent shards: what was encoded is what training draws from, and nothing damaged is taken for
data.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dit_core.data.latents.encode import encode, encoding_of
from dit_core.data.latents.latent_set import LatentDataset, verify
from dit_core.data.latents.vae import find_vae
from dit_core.data.load import load_data
from dit_core.data.order import flips, normals
from dit_core.data.readers.images import centre_crop, read_image, scan
from dit_core.errors import DataError
from dit_core.records.disk.files import sha256_of
from dit_core.study.science.science import Data

SHARD = "shard-00001.safetensors"


@pytest.fixture(scope="module")
def source(make_folder):
    """Thirty small images of four classes."""
    return make_folder(30)


@pytest.fixture
def latents(source, tiny_vae, tmp_path):
    """Their latents, in shards of eight."""
    assert encode(
        encoding_of(source, find_vae(str(tiny_vae)), tmp_path / "z", size=16, shard=8, batch=4)
    )["done"]
    return tmp_path / "z"


def _cfg(**fields):
    base = {
        "name": "z",
        "kind": "latents",
        "channels": 4,
        "height": 8,
        "width": 8,
        "classes": 4,
        "images": 30,
    }
    return Data(**base | fields)


def _posterior(source, tiny_vae, index, flip):
    listing = scan(source)
    vae = find_vae(str(tiny_vae)).load("cpu")
    pixels = centre_crop(read_image(source / listing.files[index]), 16)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        posterior = vae.encode(x.flip(-1) if flip else x).latent_dist
    return posterior.mean[0], posterior.std[0]


def test_a_sample_is_the_scaled_draw_from_the_posterior_of_its_image(latents, source, tiny_vae):
    data = load_data(_cfg(flip=True), str(latents))
    indices = np.array([29, 0, 8, 17])
    stream = np.array([1000, 5, 6, 7])
    x, y = data.batch(indices, stream, 3)
    assert (x.dtype, tuple(x.shape), y.tolist()) == (torch.float32, (4, 4, 8, 8), [3, 0, 1, 2])
    coin = flips(3, stream)
    noise = torch.from_numpy(normals(3, stream, 256)).view(4, 4, 8, 8)
    assert coin.any()
    assert not coin.all()
    for i in range(4):
        mean, std = _posterior(source, tiny_vae, indices[i], coin[i])
        assert torch.allclose(x[i], (mean + std * noise[i]) * 0.18215, atol=1e-5)


def test_draws_are_addressed(latents):
    data = load_data(_cfg(flip=True), str(latents))
    indices = np.arange(20)
    stream = np.arange(100, 120)
    whole = data.batch(indices, stream, 0)[0]
    assert torch.equal(data.batch(indices[7:9], stream[7:9], 0)[0], whole[7:9])
    assert not torch.equal(data.batch(indices[7:9], stream[8:10], 0)[0], whole[7:9])
    assert not torch.equal(data.batch(indices[7:9], stream[7:9], 1)[0], whole[7:9])


def test_half_precision_is_an_option_that_is_recorded(source, tiny_vae, tmp_path, latents):
    encode(
        encoding_of(
            source,
            find_vae(str(tiny_vae)),
            tmp_path / "half",
            size=16,
            shard=8,
            batch=4,
            dtype="float16",
        )
    )
    half = LatentDataset(tmp_path / "half")
    full = LatentDataset(latents)
    assert (half.manifest.dtype, full.manifest.dtype) == ("float16", "float32")
    a, b = (d.batch(np.arange(30), np.arange(30), 0)[0] for d in (half, full))
    assert a.dtype == torch.float32
    assert 0 < float((a - b).abs().max()) < 2e-3
    assert half.manifest.shards[0].bytes < 0.6 * full.manifest.shards[0].bytes


def test_reading_maps_the_files_and_does_not_load_them(tmp_path, latents):
    """A file's bytes changed after opening are seen: pages come from the file when asked for."""
    data = LatentDataset(latents)
    before = data.moments(np.array([9]), np.array([False])).clone()
    tensors = load_file(latents / SHARD)
    with open(latents / SHARD, "r+b") as file:
        file.seek(-tensors["moments"].nbytes, 2)
        raw = file.read()
        file.seek(-len(raw), 2)
        file.write(bytes(len(raw)))
    assert before.abs().sum() > 0
    assert data.moments(np.array([9]), np.array([False])).abs().sum() == 0


def test_every_flipped_bit_of_a_shard_is_detected_by_verify(latents):
    path = latents / SHARD
    draw = np.random.default_rng(0)
    content = path.read_bytes()
    found = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[draw.integers(len(content))] ^= 1 << draw.integers(8)
        path.write_bytes(damaged)
        found += [s.file for s, problem in verify(latents) if problem] == [SHARD]
    path.write_bytes(content)
    assert not any(problem for _, problem in verify(latents))
    print(f"bit flips in a latent shard detected: {found} of 300")
    assert found == 300


@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_shard_is_refused_at_opening(part, latents):
    content = (latents / SHARD).read_bytes()
    (latents / SHARD).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match=rf"{SHARD}: missing or not \d+ bytes"):
        LatentDataset(latents)
    assert [s.file for s, problem in verify(latents) if problem] == [SHARD]


def _rewrite(folder, change):
    """Change the tensors of a shard and the manifest with it, as a wrong program would."""
    tensors = load_file(folder / SHARD)
    change(tensors)
    save_file(tensors, folder / SHARD)
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = next(s for s in manifest["shards"] if s["file"] == SHARD)
    entry |= {"bytes": (folder / SHARD).stat().st_size, "sha256": sha256_of(folder / SHARD)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_latent_that_is_not_finite_is_named_when_drawn(latents):
    for value in (float("nan"), float("inf")):
        _rewrite(latents, lambda t, value=value: t["moments"][3, 0, 1, 2, 2].fill_(value))
        data = LatentDataset(latents)
        data.batch(np.array([10, 12]), np.arange(2), 0)
        with pytest.raises(DataError, match=rf"{SHARD}: moments\[3\] \(image 11\) is not finite"):
            data.batch(np.array([1, 11, 20]), np.arange(3), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["labels"][0].fill_(4), "labels run from 1 to 4; allowed are 0..3"),
        (lambda t: t["labels"][0].fill_(-1), "labels run from -1"),
        (lambda t: t["labels"][-1].fill_(0), "count otherwise"),
        (lambda t: t.update(labels=t["labels"].int()), "labels run from"),
        (lambda t: t.update(labels=t["labels"][:3].clone()), r"moments are|labels"),
        (lambda t: t.update(moments=t["moments"].half()), "moments are .*float16, not"),
        (
            lambda t: t.update(moments=t["moments"][:, :, :, :4].clone()),
            r"moments are \(8, 2, 8, 4, 8\)",
        ),
        (lambda t: t.pop("moments"), "not a shard of latents"),
    ],
)
def test_contradicting_shards_are_refused(change, message, latents):
    _rewrite(latents, change)
    with pytest.raises(DataError, match=message):
        LatentDataset(latents)


def test_manifests_that_contradict_themselves_or_are_missing_are_refused(latents):
    path = latents / "manifest.json"
    good = json.loads(path.read_text())
    for change, message in [
        ({"images": 31}, "count differently"),
        ({"dtype": "int8"}, "dtype"),
        ({"scale": "big"}, "scale"),
        ({"extra": 1}, "extra"),
        ({"version": 2}, "version"),
    ]:
        path.write_text(json.dumps(good | change))
        with pytest.raises(DataError, match=message):
            LatentDataset(latents)
    path.write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json"):
        LatentDataset(latents)
    path.unlink()
    with pytest.raises(DataError, match="give the same `ditlab encode` again"):
        LatentDataset(latents)


def test_a_study_that_says_otherwise_is_refused(latents):
    for field, value in [("images", 29), ("classes", 1000), ("height", 32), ("channels", 3)]:
        with pytest.raises(DataError, match=rf"data\.{field} is {value} but there are"):
            load_data(_cfg(**{field: value}), str(latents))
    digest = sha256_of(latents / "manifest.json")
    assert len(load_data(_cfg(sha256=digest), str(latents))) == 30
    with pytest.raises(DataError, match="these are other data"):
        load_data(_cfg(sha256="0" * 64), str(latents))
