"""Errors against the real samples whose conditions were asked for: by hand, by theory, and their
intervals.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dit_core.evaluate.metrics.intervals import bootstrapped, share
from dit_core.evaluate.metrics.row_errors import (
    Truth,
    class_means,
    errors,
    fine_truth,
    hidden_truth,
)
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.model.conditions import Conditions


class Samples:
    """A data set of given samples, each with its map."""

    standard = None

    def __init__(self, x: torch.Tensor, labels: list[int], maps: torch.Tensor) -> None:
        self.x = x
        self.maps = maps
        self.labels = np.array(labels)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices, stream, seed):
        assert seed == 0
        assert (indices == stream).all()
        return self.x[indices], Conditions(
            torch.from_numpy(self.labels[indices]), map=self.maps[indices]
        )


def halves(levels: list[float], labels: list[int]) -> Samples:
    """Return 8x8 samples of one grey level each in [-1, 1], lower half hidden."""
    x = torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    seen = torch.ones_like(x)
    seen[:, :, 4:] = 0
    return Samples(x, labels, torch.cat([x * seen, seen], dim=1))


def test_the_errors_are_those_worked_out_by_hand():
    # Two rows, two samples of each, of which the last two of three elements count; all in shares of
    # the range.
    truth = Truth(
        x=torch.tensor([[0.0, 0, 0], [0, 1, 1]]).double(),
        guess=torch.tensor([[9.0, 0.5, 0.5], [9, 1, 0]]).double(),
        counted=torch.tensor([[False, True, True]] * 2),
        labels=torch.tensor([3, 7]),
    )
    shares = torch.tensor([[5.0, 1, 0], [5, 1, 1], [5, 0, 0], [5, 1, 1]])
    single, mean, guess, ratio, mean_ratio = errors(shares * 2 - 1, truth)
    assert single["value"] == pytest.approx(math.sqrt(0.125))
    assert mean["value"] == pytest.approx(math.sqrt(0.0625))
    assert guess["value"] == pytest.approx(math.sqrt(0.375))
    assert ratio["value"] == pytest.approx(math.sqrt(0.125 / 0.375))
    assert mean_ratio["value"] == pytest.approx(math.sqrt(0.0625 / 0.375))
    assert single["by_label"]["3"] == pytest.approx(
        {"rmse": 0.5, "mean_rmse": math.sqrt(0.125), "guess_rmse": 0.5, "rows": 1}
    )
    assert single["by_label"]["7"] == pytest.approx(
        {"rmse": 0.0, "mean_rmse": 0.0, "guess_rmse": math.sqrt(0.5), "rows": 1}
    )


def test_a_perfect_model_errs_by_the_root_of_two_and_the_mean_of_its_samples_by_less():
    generator = torch.Generator().manual_seed(0)
    n = 400
    draws = 4
    width = 10
    known = torch.randn(n, width, generator=generator).double() / 10
    x = known + torch.randn(n, width, generator=generator) / 10
    samples = known.repeat(draws, 1) + torch.randn(draws * n, width, generator=generator) / 10
    everything = torch.ones(n, width, dtype=torch.bool)
    truth = Truth(x, known, everything, torch.zeros(n, dtype=torch.int64))
    single, mean, guess, ratio, mean_ratio = errors(samples * 2 - 1, truth)
    assert guess["value"] == pytest.approx(0.1, rel=0.03)
    assert ratio["low"] < math.sqrt(2) < ratio["high"]
    assert mean_ratio["low"] < math.sqrt(1 + 1 / draws) < mean_ratio["high"]
    assert single["low"] < single["value"] < single["high"]
    assert mean["value"] < single["value"]


def test_fewer_samples_than_rows_are_held_against_the_first_rows():
    rows = Rows(halves([-1, 1], [0, 1]), halves([0, 1, -1], [0, 1, 1]))
    truth = hidden_truth(rows, 2)
    assert len(truth.x) == 2
    perfect = torch.tensor([0.0, 1]).view(2, 1).expand(2, 64)
    assert errors(perfect, truth)[0]["value"] == 0.0


def test_what_is_hidden_counts_and_the_guess_is_the_label_mean_of_training():
    training = halves([-1, 0, 1], [0, 0, 1])
    rows = Rows(training, halves([0.5, -0.5], [1, 0]))
    assert class_means(rows)[:, 0, 0, 0].tolist() == [-0.5, 1.0]
    truth = hidden_truth(rows, 100)
    assert truth.counted.view(2, 8, 8)[:, :4].sum() == 0
    assert truth.counted.view(2, 8, 8)[:, 4:].all()
    assert truth.x[:, 0].tolist() == [0.75, 0.25]
    assert truth.guess[:, 0].tolist() == [1.0, 0.25]
    assert truth.labels.tolist() == [1, 0]


def test_the_guess_of_a_coarse_digit_has_the_given_coarse_map():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(6, 1, 8, 8, generator=generator)
    coarse = torch.nn.functional.avg_pool2d(x, 2)
    some = Samples(x, [0, 1, 0, 1, 0, 1], coarse)
    truth = fine_truth(Rows(some, some), 6)
    guess = truth.guess.view(6, 1, 8, 8) * 2 - 1
    assert torch.nn.functional.avg_pool2d(guess, 2).numpy() == pytest.approx(
        coarse.numpy(), abs=1e-6
    )
    assert truth.counted.all()


def test_sample_i_is_asked_for_row_i_mod_m_and_the_identity_sees_every_condition():
    asked = halves([0.5, -0.5, 0.25], [1, 0, 1])
    rows = Rows(halves([0, 0], [0, 1]), asked)
    given = rows.conditions([0, 4, 302])
    assert given.label.tolist() == [1, 0, 1]
    assert given.map[:, 0, 0, 0].tolist() == [0.5, -0.5, 0.25]
    assert rows.labels([0, 4, 302]).tolist() == [1, 0, 1]
    assert rows.identity["held_out"] is True
    assert rows.identity["count"] == 3
    assert Rows(asked, asked).identity["held_out"] is False
    other = halves([0.5, -0.5, 0.25], [1, 0, 1])
    assert Rows(asked, other).identity["sha256"] == rows.identity["sha256"]
    other.maps[2, 1, 7, 7] = 1
    assert Rows(asked, other).identity["sha256"] != rows.identity["sha256"]


def test_intervals_cover_what_they_say():
    # 95 % intervals of a root mean square of 60 rows: the true one is 1.
    generator = torch.Generator().manual_seed(0)
    times = 200
    inside = 0
    for k in range(times):
        squares = torch.randn(60, generator=generator).double().square()
        found = bootstrapped(lambda w, e=squares: (w @ e).sqrt(), 60, replicates=300, seed=k)
        inside += found["low"] <= 1 <= found["high"]
    print(f"bootstrap over rows: {inside} of {times} 95 % intervals hold the true value")
    assert 0.88 <= inside / times <= 0.99
    assert share(0.5, 100) == pytest.approx({"value": 0.5, "low": 0.4038, "high": 0.5962}, abs=1e-4)


def test_a_statistic_that_cannot_be_has_no_value():
    assert bootstrapped(lambda w: w[:, 0] * math.nan, 5) == {
        "value": None,
        "low": None,
        "high": None,
    }
    # All but one row are the same: most replicates still have a spread, none is made up.
    only = torch.tensor([0.0, 0, 1]).double()
    found = bootstrapped(lambda w: 1 / (w @ only), 3)
    assert found["value"] == pytest.approx(3)
    assert found["high"] <= 3 * 3
