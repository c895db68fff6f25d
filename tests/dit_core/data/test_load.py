"""Data sets are checked against the study before the first step; what they give is addressed by position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.ahead import Ahead
from dit_core.data.digits import digits
from dit_core.data.load import load_data
from dit_core.data.order import batch_indices, flips
from dit_core.errors import DataError, EnvironmentProblem
from dit_core.study.science import Data


def test_digits_are_the_scans_in_the_networks_range():
    x, y = digits()
    assert (tuple(x.shape), x.dtype, tuple(y.shape), y.dtype) == ((1797, 1, 8, 8), torch.float32, (1797,), torch.int64)
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    assert len(torch.unique(x)) == 17
    assert torch.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert torch.equal(x[0, 0, 0], torch.tensor([0, 0, 5, 13, 9, 1, 0, 0]) / 8 - 1)


@pytest.mark.parametrize(
    ("field", "value"), [("channels", 3), ("height", 16), ("width", 4), ("classes", 11), ("images", 1000)]
)
def test_a_study_that_says_otherwise_is_refused_with_both_values(field, value):
    with pytest.raises(DataError, match=rf"data\.{field} is {value} but there are {getattr(Data(), field)}"):
        load_data(Data(**{field: value}))


def test_sha256_of_the_digits_is_checked():
    with pytest.raises(DataError, match=r"its sha256 is [0-9a-f]{64}, data\.sha256 says 0000") as caught:
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
    data, plain = load_data(Data(flip=True)), load_data(Data())
    indices, stream = batch_indices(4, 1780, 40, 1797), np.arange(1780, 1820)
    (x, y), (raw, y2) = data.batch(indices, stream, 4), plain.batch(indices, stream, 4)
    coin = flips(4, stream)
    assert 5 < coin.sum() < 35
    for i in range(40):
        assert torch.equal(x[i], raw[i].flip(-1) if coin[i] else raw[i])
    assert torch.equal(y, y2)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_share_one_stream_and_a_restart_continues_it(ranks):
    data = load_data(Data(flip=True))
    whole = [data.batch(batch_indices(1, k, 32, 1797), np.arange(k, k + 32), 1) for k in range(0, 320, 32)]
    readers = [Ahead(data, 1, 32, rank, ranks) for rank in range(ranks)]
    for k, (x, y) in zip([*range(0, 320, 32), 96, 0], [*whole, whole[3], whole[0]], strict=True):
        parts = [reader(k) for reader in readers]
        assert torch.equal(torch.cat([p[0] for p in parts]), x)
        assert torch.equal(torch.cat([p[1] for p in parts]), y)
    for reader in readers:
        reader.close()
    with pytest.raises(ValueError, match="does not divide"):
        Ahead(data, 1, 32, 0, 3)
