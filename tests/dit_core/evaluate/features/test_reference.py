"""Samples and references that must be refused, and those that only look odd."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inception import pictures, protocol_for, save_npz
from PIL import Image

from dit_core.errors import DataError, EnvironmentProblem, UserError
from dit_core.evaluate.features.extractors import make_extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import (
    check_moments,
    read_reference,
    reference_of,
    write_reference,
)
from dit_core.evaluate.metrics.frechet import frechet
from dit_core.evaluate.samples.sources import npz_rows, open_source, require_count
from dit_core.evaluate.score import reference_from_adm, reference_from_images, score
from dit_core.study.catalogue.protocols import PROTOCOLS

COUNT = 80


pytestmark = pytest.mark.usefixtures("small_input")


@pytest.fixture(scope="module")
def protocol(inception_weights):
    """Return a protocol on the first 64 features of a random Inception: cheap, the real code."""
    narrow = {"layer": "64", "width": 64, "metrics": ("fid", "kid", "precision", "recall")}
    return protocol_for(inception_weights, **narrow), {"inception": str(inception_weights)}


@pytest.fixture(scope="module")
def extractor(protocol):
    return make_extractor(*protocol)


def save_folder(path: Path, images: torch.Tensor) -> Path:
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path / f"{i:04d}.png")
    return path


def test_sources_read_the_same_images_in_any_batch(tmp_path):
    images = pictures(1, 13)
    for source in (
        open_source(save_npz(tmp_path / "a.npz", images)),
        open_source(save_folder(tmp_path / "f", images)),
    ):
        assert (source.count, source.shape) == (13, (3, 32, 32))
        for batch in (1, 5, 100):
            assert torch.equal(torch.cat(list(source.read(batch))), images)


def hostile_samples(tmp_path: Path):
    """Yield (what is wrong, words of the error, a function that reads it)."""
    images = pictures(1, 6)
    array = images.permute(0, 2, 3, 1).numpy()
    shape = (3, 32, 32)

    def npz(name: str, value: np.ndarray, key: str = "arr_0"):
        np.savez(tmp_path / f"{name}.npz", **{key: value})
        return lambda: list(open_source(tmp_path / f"{name}.npz", shape).read(4))

    np.savez(tmp_path / "short.npz", arr_0=np.zeros((49_999, 1, 1, 3), np.uint8))
    yield (
        "49,999 of 50,000",
        "49,999 images, wanted are 50,000 (1 missing, the first has index 49999)",
        (lambda: require_count(open_source(tmp_path / "short.npz"), 50_000)),
    )
    np.savez(tmp_path / "long.npz", arr_0=np.zeros((50_001, 1, 1, 3), np.uint8))
    yield "50,001", "1 too many", lambda: require_count(open_source(tmp_path / "long.npz"), 50_000)
    yield (
        "float samples",
        "arr_0 is float32; images must be uint8",
        npz("float", array.astype(np.float32) / 255),
    )
    holed = array.astype(np.float64)
    holed[3, 0, 0, 0] = np.nan
    yield "NaN samples", "arr_0 is float64; images must be uint8", npz("nan", holed)
    yield (
        "wrong size",
        "holds images of (3, 16, 16), wanted are (3, 32, 32)",
        npz("size", array[:, ::2, ::2]),
    )
    yield "flat array", "has shape (6, 3072)", npz("flat", array.reshape(6, -1))
    yield "other name", "has no array 'arr_0'; it has images", npz("named", array, "images")
    yield "objects", "never unpickled", npz("objects", np.array([[[[{}]]]], dtype=object))
    torn = tmp_path / "torn.npz"
    np.savez(torn, arr_0=array)
    torn.write_bytes(torn.read_bytes()[:9000])
    yield "torn .npz", "torn.npz", lambda: list(open_source(torn, shape).read(4))
    flipped = tmp_path / "bits.npz"
    np.savez(flipped, arr_0=array)
    data = bytearray(flipped.read_bytes())
    data[5000] ^= 1
    flipped.write_bytes(data)
    yield "flipped bit", "Bad CRC-32", lambda: list(open_source(flipped, shape).read(6))
    folder = save_folder(tmp_path / "corrupt", images)
    (folder / "0002.png").write_bytes((folder / "0002.png").read_bytes()[:200])
    yield (
        "corrupt PNG",
        "0002.png: does not decode",
        lambda: list(open_source(folder, shape).read(4)),
    )
    mixed = save_folder(tmp_path / "mixed", images)
    Image.new("RGB", (33, 32)).save(mixed / "0004.png")
    yield (
        "mixed sizes",
        "0004.png (index 4): is 33x32, wanted is 32x32",
        lambda: list(open_source(mixed, shape).read(2)),
    )
    (tmp_path / "empty").mkdir()
    yield "empty folder", "holds no images", lambda: open_source(tmp_path / "empty")
    yield "no file", "no such file", lambda: open_source(tmp_path / "nothing.npz")
    (tmp_path / "a.txt").write_text("x")
    yield "other file", "wanted is an .npz", lambda: open_source(tmp_path / "a.txt")


def test_hostile_samples_are_refused_and_the_place_is_named(tmp_path):
    refused = 0
    cases = list(hostile_samples(tmp_path))
    for what, words, read in cases:
        with pytest.raises((DataError, EnvironmentProblem, UserError)) as caught:
            read()
        assert words in str(caught.value), what
        refused += 1
    print(f"hostile samples refused with the place named: {refused} of {len(cases)}")
    assert refused == 15


def test_too_few_images_are_refused_before_any_is_read(protocol, extractor, tmp_path):
    source = open_source(save_npz(tmp_path / "few.npz", pictures(1, 20)))
    unread = type(source)(source.name, source.count, source.shape, lambda _: pytest.fail("read"))
    with pytest.raises(DataError, match="20 images give no covariance of 64 features"):
        score(protocol[0], unread, extractor, None)
    with pytest.raises(DataError, match="too few for 64 features"):
        reference_from_images("r", source, protocol[0], extractor, 10)


@pytest.fixture(scope="module")
def made(protocol, extractor, tmp_path_factory):
    """Return a reference file made of images, and the reference."""
    folder = tmp_path_factory.mktemp("reference")
    source = open_source(save_npz(folder / "real.npz", pictures(2, COUNT)))
    reference = reference_from_images("imagenet-256", source, protocol[0], extractor, 50)
    write_reference(folder / "reference.safetensors", reference, extractor, "64")
    return folder / "reference.safetensors", reference


def test_a_reference_file_gives_back_what_was_written(made, protocol, extractor):
    path, reference = made
    found = read_reference(path, protocol[0], extractor)
    assert torch.equal(found.mean, reference.mean)
    assert torch.equal(found.covariance, reference.covariance)
    assert torch.equal(found.features, reference.features)
    assert (found.count, len(found.features), len(found.sha256)) == (COUNT, 50, 64)


def test_scoring_the_reference_itself_gives_zero(protocol, extractor, made, tmp_path):
    source = open_source(save_npz(tmp_path / "real.npz", pictures(2, COUNT)))
    metrics = score(protocol[0], source, extractor, made[1])
    print(f"identical images through Inception: fid {metrics['fid']['value']:.1e}")
    assert metrics["fid"]["value"] <= 1e-3
    assert metrics["precision"]["value"] > 0.9
    other = score(
        protocol[0],
        open_source(save_npz(tmp_path / "o.npz", pictures(1, COUNT))),
        extractor,
        made[1],
    )
    assert other["fid"]["value"] > 10 * metrics["fid"]["value"] + 1e-3


def test_adm_files_in_either_precision_give_the_same(protocol, extractor, made, tmp_path):
    reference = made[1]
    values = []
    own = Moments.of(extractor(pictures(1, COUNT))["64"])
    for kind in (np.float32, np.float64):
        sums = {
            "mu": reference.mean.numpy().astype(kind),
            "sigma": reference.covariance.numpy().astype(kind),
        }
        path = save_npz(tmp_path / f"{np.dtype(kind)}.npz", pictures(2, 30), **sums)
        found = reference_from_adm("imagenet-256", path, open_source(path), protocol[0], extractor)
        assert found.mean.dtype == torch.float64
        assert len(found.features) == 30
        values.append(frechet(own.mean(), own.covariance(), found.mean, found.covariance))
    exact = frechet(own.mean(), own.covariance(), reference.mean, reference.covariance)
    print(
        "ADM reference in float32 and float64: relative "
        f"{max(abs(v / exact - 1) for v in values):.1e}"
    )
    assert values == pytest.approx([exact, exact], rel=1e-4)


def test_hostile_references_are_refused(protocol, extractor, made, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(made[0], framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    nan = tensors["mean"].clone()
    bent = tensors["covariance"].clone()
    nan[3] = float("nan")
    bent[0, 1] += 5 * bent.abs().max()
    cases = {
        "wanted is width 64": ({"mean": torch.zeros(32), "covariance": torch.eye(32)}, header),
        "not finite": ({"mean": nan}, header),
        "not symmetric": ({"covariance": bent}, header),
        "weights_sha256": (
            {},
            {"ditlab": header["ditlab"].replace(extractor.weights_sha256, "0" * 64)},
        ),
        "made with layer": (
            {},
            {"ditlab": header["ditlab"].replace('"layer": "64"', '"layer": "192"')},
        ),
        "made with extractor": (
            {},
            {"ditlab": header["ditlab"].replace("inception-v3-compat", "ditlab-digits")},
        ),
        "holds no reference statistics": ({}, None),
        "has no features": ({"features": None}, header),
    }
    refused = 0
    for words, (change, metadata) in cases.items():
        path = tmp_path / "bad.safetensors"
        save_file(
            {k: v for k, v in {**tensors, **change}.items() if v is not None},
            path,
            metadata=metadata,
        )
        with pytest.raises(DataError, match=words):
            read_reference(path, protocol[0], extractor)
        refused += 1
    path.write_bytes(made[0].read_bytes()[:1000])
    with pytest.raises(DataError, match="not readable as reference statistics"):
        read_reference(path, protocol[0], extractor)
    wide = replace(protocol[0], width=2048)
    with pytest.raises(DataError, match="wanted is width 2048"):
        read_reference(made[0], wide, extractor)
    print(f"hostile references refused: {refused + 2} of {len(cases) + 2}")


def test_a_missing_reference_is_named_with_its_place(protocol, extractor, tmp_path, monkeypatch):
    monkeypatch.setenv("DITLAB_ASSETS", str(tmp_path))
    with pytest.raises(
        EnvironmentProblem, match=r"reference-imagenet-256\.safetensors.*reference-imagenet-256"
    ):
        reference_of(protocol[0], extractor)


def test_adm_arrays_of_another_shape_or_type_are_refused(protocol, extractor, tmp_path):
    for name, sums, words in (
        ("narrow", {"mu": np.zeros(5), "sigma": np.eye(5)}, "wanted is width 64"),
        ("whole", {"mu": np.zeros(64, int), "sigma": np.eye(64)}, "mu is int64"),
        ("half", {"mu": np.zeros(64)}, "has no array 'sigma'"),
    ):
        np.savez(tmp_path / f"{name}.npz", **sums)
        with pytest.raises(DataError, match=words):
            reference_from_adm("r", tmp_path / f"{name}.npz", None, protocol[0], extractor)


def test_an_array_of_an_npz_is_read_in_blocks(tmp_path):
    array = np.arange(70, dtype=np.float32).reshape(10, 7)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=array)
        blocks = list(npz_rows(tmp_path / "a.npz", "x", 4))
        assert [len(b) for b in blocks] == [4, 4, 2]
        np.testing.assert_array_equal(np.concatenate(blocks), array)


def test_covariances_are_checked_for_width():
    with pytest.raises(DataError, match="wanted is width 4"):
        check_moments("here", torch.zeros(3), torch.eye(4), 4)
    assert PROTOCOLS["dit-scaling"].width == 2048
