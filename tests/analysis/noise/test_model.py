"""The noise model: wrong verdicts stay rare where its prior is right, and nearly so where not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.noise.decide import Comparison, parts_of, verdict_of
from analysis.noise.model import Prior, Training, fit, prior_from, sample_sd_of, scale_of

SEEDS = (1, 2, 3)
REPLICATES = 400
FEW = 0.05 + 3 * (0.05 * 0.95 / REPLICATES) ** 0.5  # a rate of 5 % seen in so few replicates


def study(rng: np.random.Generator, truths: list[float], sds: list[float], seeds: int):
    return {
        str(i): [Training(truth + sd * rng.standard_normal()) for _ in range(seeds)]
        for i, (truth, sd) in enumerate(zip(truths, sds, strict=True))
    }


def verdicts(seed: int, truths: list[float], sds: list[float], seeds: int, prior: float):
    """Return the verdicts on "each configuration is below the next" in many studies."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(REPLICATES):
        trainings = study(rng, truths, sds, seeds)
        model = fit(trainings, Prior(prior))
        means = [model.mean(t) for t in trainings.values()]
        pairs = [
            Comparison(model.difference(a, b), above=0.0) for a, b in itertools.pairwise(means)
        ]
        found.append(verdict_of(parts_of(pairs)))
    return found


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("models", [2, 12])
@pytest.mark.parametrize("unequal", [1.0, 2.5])
def test_an_order_at_the_boundary_is_rarely_decided_wrongly(seeds: int, models: int, unequal):
    sds = [0.03 * (unequal if i % 2 else 1) for i in range(models)]
    prior = float(np.sqrt(np.mean(np.square(sds))))
    found = verdicts(models, [0.0] * models, sds, seeds, prior)
    assert found.count("REFUTED") / REPLICATES <= FEW
    assert found.count("SUPPORTED") / REPLICATES <= FEW


@pytest.mark.parametrize("models", [2, 12])
def test_one_seed_and_a_prior_half_the_truth_is_wrong_in_eight_percent_at_most(models: int):
    found = verdicts(1, [0.0] * models, [0.06] * models, 1, 0.03)
    limit = 0.08 + 3 * (0.08 * 0.92 / REPLICATES) ** 0.5
    assert found.count("REFUTED") / REPLICATES <= limit


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_sixth_less_is_shown_at_three_percent_noise(seeds: int):
    found = verdicts(2, [np.log(0.83), 0.0], [0.03, 0.03], seeds, 0.03)
    assert found.count("SUPPORTED") / REPLICATES >= (0.8 if seeds == 1 else 0.95)


def test_a_clear_step_back_among_twelve_is_seen():
    truths = [0.1 * i for i in range(12)]
    truths[6] -= 0.4
    found = verdicts(3, truths, [0.03] * 12, 2, 0.03)
    assert found.count("REFUTED") / REPLICATES >= 0.95


def test_readings_of_one_training_are_no_repeats():
    model = fit({"a": [Training(1.0)], "b": [Training(2.0)]}, Prior(0.03, source="stated"))
    assert (model.repeats, model.pooled_sd, model.df) == (0, pytest.approx(0.03), 3.0)
    assert model.source == "prior: stated"


def test_the_results_folder_corrects_the_stated_prior():
    rng = np.random.default_rng(0)
    others = study(rng, [0.0] * 30, [0.1] * 30, 4)
    prior = prior_from(others, Prior(0.03))
    assert 0.08 < prior.sd < 0.12
    assert (prior.df, prior.source) == (6.0, "90 repeats of the results folder")


def test_a_fixed_number_meets_the_noise_of_the_samples_and_a_difference_does_not():
    trainings = {
        "a": [Training(0.0, 0.05), Training(0.01, 0.05)],
        "b": [Training(0.0, 0.05), Training(-0.01, 0.05)],
    }
    model = fit(trainings, Prior(0.01))
    a, b = (model.mean(t) for t in trainings.values())
    assert model.against(a, 0.0).error > 0.05 > model.difference(a, b).error


def test_scale_and_interval_of_a_record():
    assert scale_of([1.0, 2.0]) == "log"
    assert scale_of([1.0, 0.0]) == "linear"
    assert sample_sd_of(9.0, 11.0, "linear") == pytest.approx(0.5102, abs=1e-4)
    assert sample_sd_of(9.0, 11.0, "log") == pytest.approx(np.log(11 / 9) / 3.92, rel=1e-3)
    assert sample_sd_of(1.0, 1.0, "log") is None
    assert sample_sd_of(-1.0, 1.0, "log") is None
