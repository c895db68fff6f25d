"""Data sets are checked against the study before the first step; what they give is addressed by
position.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.ahead import Ahead
from dit_core.data.load import load_data
from dit_core.data.order import batch_indices, flips
from dit_core.data.sets.digits import digits
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.study.science.science import Data


def test_digits_are_the_scans_in_the_networks_range():
    x, y = digits()
    assert (tuple(x.shape), x.dtype, tuple(y.shape), y.dtype) == (
        (1797, 1, 8, 8),
        torch.float32,
        (1797,),
        torch.int64,
    )
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    assert len(torch.unique(x)) == 17
    assert torch.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert torch.equal(x[0, 0, 0], torch.tensor([0, 0, 5, 13, 9, 1, 0, 0]) / 8 - 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("channels", 3), ("height", 16), ("width", 4), ("classes", 11), ("images", 1000)],
)
def test_a_study_that_says_otherwise_is_refused_with_both_values(field, value):
    with pytest.raises(
        DataError, match=rf"data\.{field} is {value} but there are {getattr(Data(), field)}"
    ):
        load_data(Data(**{field: value}))


def test_sha256_of_the_digits_is_checked():
    with pytest.raises(
        DataError, match=r"its sha256 is [0-9a-f]{64}, data\.sha256 says 0000"
    ) as caught:
        load_data(Data(sha256="0" * 64))
    found = str(caught.value).split("sha256 is ")[1][:64]
    assert len(load_data(Data(sha256=found))) == 1797


def test_a_data_set_without_a_place_names_the_remedy(tmp_path):
    for kind in ("images", "npz", "latents"):
        with pytest.raises(EnvironmentProblem, match=r"execution\.data_roots"):
            load_data(Data(name="mine", kind=kind))
        with pytest.raises(EnvironmentProblem, match="no such"):
            load_data(Data(name="mine", kind=kind), str(tmp_path / "absent"))


def test_flip_follows_the_coin_of_the_position():
    data = load_data(Data(flip=True))
    plain = load_data(Data())
    indices = batch_indices(4, 1780, 40, 1797)
    stream = np.arange(1780, 1820)
    (x, y) = data.batch(indices, stream, 4)
    (raw, y2) = plain.batch(indices, stream, 4)
    coin = flips(4, stream)
    assert 5 < coin.sum() < 35
    for i in range(40):
        assert torch.equal(x[i], raw[i].flip(-1) if coin[i] else raw[i])
    assert torch.equal(y, y2)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_fetching_ahead_gives_the_same_stream_also_after_a_jump(ranks):
    data = load_data(Data(flip=True))
    batch = 32
    share = 32 // ranks
    readers = [Ahead(data, batch) for _ in range(ranks)]
    for k in [*range(0, 320, batch), 96, 128, 0]:
        indices = batch_indices(1, k, batch, 1797)
        stream = np.arange(k, k + batch)
        x, y = data.batch(indices, stream, 1)
        for rank, reader in enumerate(readers):
            part = slice(rank * share, (rank + 1) * share)
            mine = reader.batch(indices[part], stream[part], 1)
            assert torch.equal(mine[0], x[part])
            assert torch.equal(mine[1], y[part])
    for reader in readers:
        assert (reader.hits, reader.misses, len(reader)) == (10, 3, 1797)
        reader.close()


def test_a_bad_sample_fetched_ahead_is_reported_at_its_own_step(make_folder):
    root = make_folder(20)
    cfg = Data(name="x", kind="images", channels=3, height=16, width=16, classes=4, images=20)
    data = load_data(cfg, str(root))
    bad = int(batch_indices(0, 4, 4, 20)[2])
    path = sorted(root.glob("*/*.png"))[bad]
    path.write_bytes(b"")
    ahead = Ahead(data, 4)
    ahead.batch(batch_indices(0, 0, 4, 20), np.arange(4), 0)
    with pytest.raises(DataError, match=path.name):
        ahead.batch(batch_indices(0, 4, 4, 20), np.arange(4, 8), 0)
    ahead.close()
