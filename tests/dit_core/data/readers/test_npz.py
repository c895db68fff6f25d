"""An .npz is taken only as plain, labelled, in-range arrays; what is wrong is named with array and
row.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.load import load_data
from dit_core.data.readers.npz import read_npz
from dit_core.errors import DataError
from dit_core.study.science.science import Data

N = 12
GOOD = np.random.default_rng(0).integers(0, 256, (N, 6, 4, 3), dtype=np.uint8)
LABELS = np.arange(N) % 5


def _with(row, value, dtype=np.float32):
    images = (GOOD / 127.5 - 1).astype(dtype)
    images[row] = value
    return images


def _labels(row, value):
    labels = LABELS.copy()
    labels[row] = value
    return labels


WRONG = {
    "float64": ({"images": GOOD.astype(np.float64), "labels": LABELS}, "images is float64"),
    "0..255 as float": (
        {"images": GOOD.astype(np.float32), "labels": LABELS},
        r"images\[0\] runs from",
    ),
    "one value too large": ({"images": _with(7, 1.5), "labels": LABELS}, r"images\[7\] runs from"),
    "NaN": ({"images": _with(3, np.nan), "labels": LABELS}, r"images\[3\] holds NaN"),
    "infinity": (
        {"images": _with(3, np.inf), "labels": LABELS},
        r"images\[3\] holds NaN or infinity",
    ),
    "0..1": (
        {"images": (GOOD / 255).astype(np.float32), "labels": LABELS},
        "no value of images is negative",
    ),
    "int32": ({"images": GOOD.astype(np.int32), "labels": LABELS}, "images is int32"),
    "flat": ({"images": GOOD.reshape(N, -1), "labels": LABELS}, r"wanted is \(n, H, W\)"),
    "empty": ({"images": GOOD[:0], "labels": LABELS[:0]}, "images has shape"),
    "objects": (
        {"images": np.array([{}, []], dtype=object), "labels": LABELS},
        "holds pickled objects, which are never loaded",
    ),
    "label too large": (
        {"images": GOOD, "labels": _labels(9, 5)},
        r"labels\[9\] is 5; with data.classes 5",
    ),
    "label negative": ({"images": GOOD, "labels": _labels(2, -1)}, r"labels\[2\] is -1"),
    "float labels": ({"images": GOOD, "labels": LABELS.astype(float)}, "labels is float64"),
    "one label less": (
        {"images": GOOD, "labels": LABELS[1:]},
        r"labels has shape \(11,\) for 12 images",
    ),
    "one-hot labels": (
        {"images": GOOD, "labels": np.eye(5, dtype=int)[LABELS]},
        r"labels has shape \(12, 5\)",
    ),
    "other names": ({"image": GOOD, "label": LABELS}, "no array 'images', did you mean 'image'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_refused_by_name(case, tmp_path):
    arrays, message = WRONG[case]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "x.npz", 5)


@pytest.mark.parametrize("content", [b"", b"not a zip", None, "npy"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, images=GOOD, labels=LABELS)
    if content == "npy":
        with open(path, "wb") as file:
            np.save(file, GOOD)
    else:
        path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(DataError, match=r"x\.npz") as refused:
        read_npz(path, 5)
    assert "allow_pickle" not in str(refused.value)
    if content == b"not a zip":
        assert "is no .npz file" in str(refused.value)


@pytest.mark.parametrize("stored", ["uint8", "float32"])
def test_good_arrays_reach_the_network_in_its_range(stored, tmp_path):
    images = GOOD if stored == "uint8" else (GOOD / 127.5 - 1).astype(np.float32)
    np.savez(tmp_path / "x.npz", images=images, labels=LABELS)
    cfg = Data(name="x", kind="npz", channels=3, height=6, width=4, classes=5, images=N)
    x, y = load_data(cfg, str(tmp_path / "x.npz")).batch(np.array([3, 0, 11]), np.arange(3), 0)
    wanted = torch.from_numpy(GOOD[[3, 0, 11]].transpose(0, 3, 1, 2) / 127.5 - 1).float()
    assert torch.allclose(x, wanted, atol=1e-6)
    assert y.tolist() == [3, 0, 1]


def test_grey_arrays_and_the_files_hash(tmp_path):
    np.savez(tmp_path / "x.npz", images=GOOD[..., 0], labels=LABELS)
    fields = {"name": "x", "kind": "npz", "height": 6, "width": 4, "classes": 5, "images": N}
    assert load_data(Data(**fields), str(tmp_path / "x.npz")).batch(np.arange(2), np.arange(2), 0)[
        0
    ].shape == (
        2,
        1,
        6,
        4,
    )
    with pytest.raises(DataError, match="these are other data"):
        load_data(Data(**fields, sha256="f" * 64), str(tmp_path / "x.npz"))


def test_pickled_objects_in_a_folder_are_never_loaded(tmp_path):
    np.save(tmp_path / "images.npy", np.array([{}, []], dtype=object))
    np.save(tmp_path / "labels.npy", LABELS)
    with pytest.raises(
        DataError, match=r"images\.npy: holds pickled objects, which are never loaded"
    ):
        read_npz(tmp_path, 5)
