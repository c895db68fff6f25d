"""Real rows against generated ones where the answer is known: a classifier, a kernel distance, a
look for copies.
"""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from dit_core.evaluate.metrics.two_sample import memorised, mmd2, two_sample_accuracy


def normal(rows: int, seed: int, width: int = 4) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def none(rows: int) -> torch.Tensor:
    return torch.zeros(rows, dtype=torch.int64)


@pytest.mark.slow
def test_rows_of_one_distribution_cannot_be_told_apart():
    inside = 0
    times = 5
    for k in range(times):
        found = two_sample_accuracy(normal(80, k), none(80), normal(80, 100 + k), none(80))
        inside += found["low"] <= 0.5 <= found["high"]
    print(f"equal distributions: {inside} of {times} intervals hold 0.5")
    assert inside >= times - 1


@pytest.mark.slow
def test_rows_of_two_distributions_are_told_apart():
    assert two_sample_accuracy(normal(80, 0), none(80), normal(80, 1) + 3, none(80))["value"] > 0.95
    # The same cloud, thinner across: the means agree, so that only a classifier beyond a line sees
    # it.
    assert (
        two_sample_accuracy(normal(150, 0), none(150), normal(150, 1) * 0.4, none(150))["low"] > 0.6
    )


def test_a_thin_direction_across_many_features_is_seen_by_the_quadratic_classifier_alone():
    # Ten features that sum to nearly nothing: with a sum five times wider each by itself, and each
    # pair, is alike.
    def rows(width: float, seed: int) -> torch.Tensor:
        x = normal(150, seed, 10)
        return x - x.mean(dim=1, keepdim=True) * (1 - width)

    forest, quadratic = (
        two_sample_accuracy(rows(0.05, 0), none(150), rows(0.25, 1), none(150), kind)
        for kind in ("forest", "quadratic")
    )
    assert quadratic["low"] > 0.65
    assert forest["value"] < quadratic["low"]


@pytest.mark.slow
def test_rows_of_the_wrong_label_are_told_apart():
    labels = torch.arange(100) % 2
    real, generated = (normal(100, k) / 4 + labels[:, None] for k in (0, 1))
    assert two_sample_accuracy(real, labels, generated, labels)["low"] < 0.5
    assert two_sample_accuracy(real, labels, generated, 1 - labels)["value"] > 0.9


def test_too_few_rows_have_no_accuracy():
    assert two_sample_accuracy(normal(4, 0), none(4), normal(100, 1), none(100))["value"] is None
    assert two_sample_accuracy(normal(9, 0), none(9), normal(7, 1), none(7))["value"] is not None


def test_the_kernel_distance_is_the_one_worked_out_by_hand():
    # All distances: 1, 1, 1, 2, 2, 3, of which the (lower) median is 1.
    real = torch.tensor([[0.0], [2]])
    generated = torch.tensor([[1.0], [3]])
    cross = (3 * math.exp(-0.5) + math.exp(-4.5)) / 4
    assert mmd2(real, generated)["value"] == pytest.approx(2 * math.exp(-2) - 2 * cross)
    assert mmd2(real[:1], generated)["value"] is None


def test_the_kernel_distance_is_unbiased_and_its_interval_holds():
    values = []
    inside = 0
    times = 60
    for k in range(times):
        found = mmd2(normal(40, k), normal(60, 1000 + k))
        values.append(found["value"])
        inside += found["low"] <= 0 <= found["high"]
    mean = statistics.mean(values)
    error = statistics.stdev(values) / times**0.5
    print(
        f"equal distributions: mean {mean:.5f} +- {error:.5f}, {inside} of {times} 95 % intervals "
        "hold 0"
    )
    assert abs(mean) < 3 * error
    assert inside / times >= 0.9
    far = mmd2(normal(40, 0), normal(60, 1) + 1)
    assert 0 < far["low"] < far["value"] < far["high"]


def test_equal_rows_are_no_error():
    assert math.isfinite(mmd2(torch.zeros(5, 2), torch.zeros(6, 2))["value"])


def test_copies_are_counted():
    training = torch.tensor([[0.0], [10], [20]])
    # Distances to the nearest and the next: 1 and 9, 4 and 6, 3 and 7, 2 and 8: the first and the
    # last are copies.
    assert memorised(training, torch.tensor([[1.0], [4], [3], [2]]))["value"] == 0.5
    assert memorised(training, training)["value"] == 1.0
    assert memorised(training[:1], training)["value"] is None
    assert memorised(normal(200, 0), normal(500, 1))["value"] < 0.02
