"""Order and augmentation are functions of (seed, position in the stream)."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dit_core.data.order import batch_indices, flips, normals, permutation

PINNED = [1755, 355, 1097, 297, 313, 1785, 695, 1410]
PINNED_FLIPS = [0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0]


def test_each_epoch_holds_every_index_once():
    for epoch in range(3):
        assert sorted(batch_indices(7, epoch * 101, 101, 101)) == list(range(101))
    assert not np.array_equal(batch_indices(7, 0, 101, 101), batch_indices(7, 101, 101, 101))
    assert not np.array_equal(batch_indices(7, 0, 101, 101), batch_indices(8, 0, 101, 101))


@pytest.mark.parametrize("batch", [1, 7, 64, 101, 250, 350])
def test_stream_does_not_depend_on_the_batch(batch):
    """Batches of any size, also across and beyond several epochs, cut the same stream."""
    whole = np.concatenate([permutation(3, e, 101) for e in range(8)])[: 2 * 350]
    cut = np.concatenate([batch_indices(3, k, batch, 101) for k in range(0, 2 * 350, batch)])[
        : 2 * 350
    ]
    assert np.array_equal(whole, cut)


def test_order_is_pinned():
    """The order is part of a run's identity: another one is another run."""
    assert batch_indices(0, 0, 8, 1797).tolist() == PINNED
    assert flips(0, np.arange(16)).astype(int).tolist() == PINNED_FLIPS


def test_flips_are_fair_and_addressed():
    stream = np.arange(100_000)
    coin = flips(5, stream)
    assert abs(coin.mean() - 0.5) < 0.006
    assert np.array_equal(coin[[9, 3, 77]], flips(5, np.array([9, 3, 77])))
    assert abs((coin ^ flips(6, stream)).mean() - 0.5) < 0.006
    assert abs((coin[1:] ^ coin[:-1]).mean() - 0.5) < 0.006
    assert flips(2**63 - 1, np.array([2**62])).shape == (1,)


def test_normals_are_normal_and_addressed():
    stream = np.arange(400)
    draw = normals(1, stream, 256)
    assert abs(draw.mean()) < 0.01
    assert abs(draw.std() - 1) < 0.01
    assert np.array_equal(draw[[5, 300]], normals(1, np.array([5, 300]), 256))
    assert abs(np.corrcoef(draw[0], draw[1])[0, 1]) < 0.25


@pytest.mark.parametrize(("seen", "batch", "n"), [(0, 1, 0), (0, 0, 5), (-1, 1, 5)])
def test_impossible_orders_are_refused(seen, batch, n):
    with pytest.raises(ValueError, match="positive"):
        batch_indices(0, seen, batch, n)


def test_a_call_costs_microseconds():
    batch_indices(0, 0, 64, 1797)
    best = min(_seconds(lambda: batch_indices(0, 640, 64, 1797)) for _ in range(50))
    print(f"batch_indices: {best * 1e6:.1f} us")
    assert best < 100e-6


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
