"""Requested against measured: R2 and slope by hand, on real digits, on blank ones, and their
intervals.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.sets.digits import digits
from dit_core.data.sets.measures import MEASURES, measures
from dit_core.errors import DataError
from dit_core.evaluate.metrics.obedience import agreement_of, obedience, requested_of
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.model.conditions import Conditions
from dit_core.study.catalogue.metrics import family


def test_the_names_are_those_of_the_measures():
    assert tuple(f"{name}_{what}" for name in MEASURES for what in ("r2", "slope")) == family(
        "obedience"
    )


def test_r2_counts_a_wrong_slope_and_a_bias_against_the_samples():
    requested = torch.tensor([0.0, 1, 2, 3]).double()
    cases = {(1, 0): (1.0, 1.0), (0.5, 1): (0.7, 0.5), (1, 1): (0.2, 1.0), (-1, 3): (-3.0, -1.0)}
    for (slope, bias), (r2, found_slope) in cases.items():
        found = agreement_of(requested, slope * requested + bias)
        assert [metric["value"] for metric in found] == pytest.approx([r2, found_slope]), (
            slope,
            bias,
        )


def test_real_digits_obey_their_own_measures():
    x, _ = digits()
    found = obedience(x, measures(x))
    assert [found[name]["value"] for name in family("obedience")] == pytest.approx(
        [1.0] * 6, abs=1e-5
    )
    mixed = obedience(x, measures(x).roll(1, 0))
    assert mixed["ink_r2"]["high"] < 0
    assert mixed["ink_slope"]["value"] == pytest.approx(0, abs=0.1)


def test_a_blank_digit_has_ink_none_and_neither_slant_nor_width():
    x, _ = digits()
    x, requested = x[:50].clone(), measures(x[:50])
    x[7] = -1
    found = obedience(x, requested)
    assert found["ink_r2"]["value"] < 1
    assert found["slant_r2"]["value"] == pytest.approx(1, abs=1e-5)
    assert found["width_slope"]["value"] == pytest.approx(1, abs=1e-5)


def test_a_parameter_that_never_varies_has_no_value():
    same = torch.ones(10).double()
    assert all(
        metric["value"] is None for metric in agreement_of(same, torch.arange(10.0).double())
    )
    assert agreement_of(same[:2], same[:2])[0]["value"] is None


@pytest.mark.slow
def test_intervals_of_a_slope_cover_it():
    generator = torch.Generator().manual_seed(0)
    inside = 0
    times = 120
    for _ in range(times):
        requested = torch.randn(80, generator=generator).double()
        measured = 0.8 * requested + 0.5 * torch.randn(80, generator=generator)
        slope = agreement_of(requested, measured)[1]
        inside += slope["low"] <= 0.8 <= slope["high"]
    print(f"slope: {inside} of {times} 95 % intervals hold the true one")
    assert 0.87 <= inside / times <= 0.99


class Measured:
    """Two samples with standardised vectors."""

    labels = np.array([0, 1])

    def __init__(self, standard) -> None:
        self.standard = standard

    def __len__(self) -> int:
        return 2

    def batch(self, indices, stream, seed):
        vectors = torch.tensor([[0.0, 1, -1], [2, 0, 0]])[indices]
        return torch.zeros(len(indices), 1, 8, 8), Conditions(
            torch.from_numpy(self.labels[indices]), vectors
        )


def test_what_was_requested_is_in_the_units_of_the_measures():
    data = Measured((np.array([10.0, 0, 5]), np.array([2.0, 1, 3])))
    assert requested_of(Rows(data, data), 3).tolist() == [[10, 1, 2], [14, 0, 5], [10, 1, 2]]
    unknown = Measured(None)
    with pytest.raises(DataError, match="standardised"):
        requested_of(Rows(unknown, unknown), 3)
