"""Samples with conditions: what is built in, what a user's arrays hold, and every way in which they
can be wrong.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.load import load_data
from dit_core.data.sets.digits import digits
from dit_core.data.sets.measures import measures
from dit_core.data.sets.tables import table
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.model.conditions import Conditions
from dit_core.study.science.data import BUILT_IN, Data

N = 40
STUDY = {
    "name": "mine",
    "kind": "npz",
    "channels": 1,
    "height": 8,
    "width": 8,
    "classes": 4,
    "images": N,
    "vector": 3,
    "context_tokens": 5,
    "context_width": 6,
    "map_channels": 2,
    "map_height": 4,
    "map_width": 4,
}
TABLE = {
    "name": "mine",
    "kind": "npz",
    "channels": 1,
    "height": 1,
    "width": 5,
    "classes": 4,
    "images": N,
    "vectors": True,
    "modules": "2 3",
}


def arrays() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "images": draw.integers(0, 256, (N, 8, 8), dtype=np.uint8),
        "labels": np.arange(N) % 4,
        "vector": draw.normal(5.0, 2.0, (N, 3)),
        "context": draw.normal(size=(N, 5, 6)),
        "context_mask": draw.random((N, 5)) > 0.3,
        "map": draw.normal(size=(N, 4, 4, 2)),
        "vectors": draw.normal(3.0, 7.0, (N, 5)),
        "features": np.array(["a", "b", "c", "d", "e"]),
        "modules": np.array([["one", "d"], ["two", "a"], ["two", "c"], ["one", "b"], ["two", "e"]]),
    }


def write(path, change=None, without=()) -> str:
    found = {**arrays(), **(change or {})}
    np.savez(path, **{name: value for name, value in found.items() if name not in without})
    return str(path)


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_built_in_sets_are_what_the_study_knows_of_them(name):
    cfg = BUILT_IN[name]
    data = load_data(cfg)
    x, y = data.batch(np.arange(7), np.arange(7), 0)
    assert (x.shape, x.dtype, len(data)) == (
        (7, cfg.channels, cfg.height, cfg.width),
        torch.float32,
        cfg.images,
    )
    assert sorted(set(data.labels.tolist())) == list(range(cfg.classes))
    if cfg.conditions:
        assert isinstance(y, Conditions)
        shapes = {"vector": (3,), "map": (cfg.map_channels, cfg.map_height, cfg.map_width)}
        for condition in cfg.conditions:
            assert tuple(getattr(y, condition).shape[1:]) == shapes[condition]
    else:
        assert y.shape == (7,)


def test_measured_digits_are_standardised_and_the_statistics_turn_them_back():
    data = load_data(BUILT_IN["digits-measured"])
    _, y = data.batch(np.arange(1797), np.arange(1797), 0)
    mean, std = data.standard
    assert torch.allclose(y.vector.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(y.vector.std(0, unbiased=False), torch.ones(3), atol=1e-5)
    back = y.vector.double() * torch.from_numpy(std) + torch.from_numpy(mean)
    assert torch.allclose(back.float(), measures(digits()[0]), atol=1e-5)


def test_held_out_samples_are_never_trained_on():
    data = load_data(BUILT_IN["digits-half"])
    kept = data.held_out()
    assert (len(data), len(kept)) == (1438, 359)
    assert not set(data.rows) & set(kept.rows)
    assert kept.held_out() is not data
    x, y = kept.batch(np.arange(5), np.arange(5), 0)
    assert torch.equal(y.map[:, 0, :4], x[:, 0, :4])
    assert (y.map[:, 0, 4:] == 0).all()
    whole = load_data(BUILT_IN["digits-measured"])
    assert len(whole.held_out()) == 1797


def test_tables_stand_in_the_order_of_their_modules():
    x, _ = load_data(BUILT_IN["breast-cancer"]).batch(np.arange(569), np.arange(569), 0)
    found = table("breast-cancer")
    order = [found.features.index(n) for group in found.modules.values() for n in group]
    assert torch.equal(x[:, 0, 0], torch.from_numpy(found.x[:, order]))


@pytest.mark.parametrize("folder", [False, True])
def test_a_users_arrays(tmp_path, folder):
    root = tmp_path / "mine.npz"
    if folder:
        root = tmp_path / "mine"
        root.mkdir()
        for name, value in arrays().items():
            np.save(root / f"{name}.npy", value)
    else:
        write(root)
    cfg = Data(**{**STUDY, "images": 32, "held_out": 0.2})
    data = load_data(cfg, str(root))
    found = arrays()
    index = np.array([3, 0])
    x, y = data.batch(index, index, 0)
    rows = data.rows[index]
    assert np.array_equal(x.numpy()[:, 0], found["images"][rows].astype(np.float32) / 127.5 - 1)
    mean, std = data.standard
    assert np.allclose(mean, found["vector"][data.rows].mean(0))
    assert np.allclose(y.vector.numpy() * std + mean, found["vector"][rows], atol=1e-5)
    assert np.array_equal(y.context.numpy(), found["context"][rows].astype(np.float32))
    assert np.array_equal(y.mask.numpy(), found["context_mask"][rows])
    assert np.array_equal(
        y.map.numpy(), found["map"][rows].transpose(0, 3, 1, 2).astype(np.float32)
    )
    assert (
        len(load_data(Data(**{**STUDY, "images": 32, "held_out": 0.2}), str(root)).held_out()) == 8
    )


def test_a_users_vectors_are_standardised_and_ordered_by_module(tmp_path):
    data = load_data(Data(**TABLE), write(tmp_path / "t.npz"))
    x, y = data.batch(np.arange(N), np.arange(N), 0)
    values = arrays()["vectors"][:, [3, 1, 0, 2, 4]]  # module one: d, b; module two: a, c, e
    assert np.allclose(x.numpy()[:, 0, 0], (values - values.mean(0)) / values.std(0), atol=1e-5)
    assert y.dtype == torch.int64


def _with(name, index, value):
    changed = arrays()[name].copy()
    changed[index] = value
    return {name: changed}


@pytest.mark.parametrize(
    ("study", "change", "without", "says"),
    [
        (STUDY, {}, ("vector",), "has no array 'vector'.*vectors"),
        (STUDY, {}, ("map",), "has no array 'map'"),
        (
            STUDY,
            {"map": np.zeros((N, 4, 4))},
            (),
            r"map has shape \(40, 4, 4, 1\); the study says \(n, 4, 4, 2\)",
        ),
        (
            STUDY,
            {"vector": np.zeros((N, 2))},
            (),
            r"vector has shape \(40, 2\); the study says \(n, 3\)",
        ),
        (STUDY, _with("vector", (7, 1), np.nan), (), r"row 7, 'vector\[:, 1\]' is nan"),
        (STUDY, _with("vector", (slice(None), 2), 4.0), (), r"'vector\[:, 2\]' is 4 in every row"),
        (STUDY, {"context": np.zeros((N - 1, 5, 6))}, (), "context has 39 rows, labels 40"),
        (STUDY, _with("context", (9, 0, 0), np.inf), (), r"context\[9\] holds NaN or infinity"),
        (STUDY, _with("map", (11, 0, 0, 0), np.nan), (), r"map\[11\] holds NaN"),
        (STUDY, {"context_mask": np.ones((N, 5))}, (), "context_mask is float64; wanted is bool"),
        (STUDY, {"vector": np.array([["a"] * 3] * N)}, (), "vector is <U1; wanted are numbers"),
        (TABLE, _with("vectors", (3, 4), np.nan), (), "row 3, 'e' is nan"),
        (TABLE, _with("vectors", (slice(None), 0), 1.0), (), "feature 'a' is 1 in every row"),
        (TABLE, {"modules": np.array([["one", "q"]])}, (), "module 'one': no feature 'q'"),
        (
            TABLE,
            {"modules": np.array([["one", "a"], ["two", "b"]])},
            (),
            "3 features are in no module: c, d, e",
        ),
        (
            TABLE,
            {"modules": np.array([["m", f] for f in "abcde"])},
            (),
            "data.modules is '2 3', but .* groups of '5'",
        ),
    ],
)
def test_what_is_wrong_names_array_and_row(tmp_path, study, change, without, says):
    with pytest.raises(DataError, match=says):
        load_data(Data(**study), write(tmp_path / "bad.npz", change, without))


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EnvironmentProblem, match=r"no such \.npz file or folder"):
        load_data(Data(**STUDY), str(tmp_path / "absent"))
