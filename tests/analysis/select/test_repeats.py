"""From rows to the noise model: trainings are counted, readings of one training are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from study_frames import own_runs

from analysis.select.compare import compare
from analysis.select.points import average_seeds
from analysis.select.repeats import noise_of, repeats_in, scale_in, stated_prior
from analysis.tables import load


def results(values: dict[str, list[float]]) -> pd.DataFrame:
    """Return results of one design per entry, one value per seed."""
    base = dict.fromkeys(load.results("/nothing/there").columns)
    fixed = base | {"model_patch": 2, "patch": 2, "steps": 10, "images_seen": 100, "protocol": "p"}
    rows = [
        fixed
        | {"conditioning": design, "model_conditioning": design, "train_seed": seed, "seed": seed}
        | {"fd": value, "fd_low": value - 1, "fd_high": value + 1, "sample_seed": 0}
        | {"run_id": f"{design}{seed}"}
        for design, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    return pd.DataFrame(rows)


def pooled(prior_sd: float, prior_df: float, groups: list[list[float]]) -> float:
    squares = sum(np.var(np.log(g)) * len(g) for g in groups)
    repeats = sum(len(g) - 1 for g in groups)
    return float(np.sqrt((prior_df * prior_sd**2 + squares) / (prior_df + repeats)))


def test_claims_and_comparisons_have_one_noise():
    frame = results({"adaln-zero": [10.0, 12.0, 15.0], "adaln": [20.0, 21.0]})
    model = noise_of(frame, "fd", "log")
    expected = pooled(0.05, 3, [[10, 12, 15], [20, 21]])
    assert (model.pooled_sd, model.repeats) == (pytest.approx(expected), 3)
    found = compare(frame, "conditioning", "fd")
    assert (found.noise, found.repeats) == (pytest.approx(expected), 3)
    assert (found.noise_is_share, found.prior) == (True, False)


def test_readings_of_one_training_are_averaged_and_are_no_repeats():
    frame = results({"adaln-zero": [10.0, 14.0], "adaln": [20.0, 26.0]})
    again = frame.assign(sample_seed=1, fd=frame["fd"] * 1.2)
    once = noise_of(frame, "fd", "log")
    both = pd.concat([frame, again], ignore_index=True)
    assert noise_of(both, "fd", "log").pooled_sd == pytest.approx(once.pooled_sd)
    assert noise_of(both, "fd", "log").repeats == once.repeats == 2
    lone = both[both["train_seed"] == 0]
    assert noise_of(lone, "fd", "log").repeats == 0
    assert noise_of(lone, "fd", "log").source == "prior: 0.05 of the value, stated"


def test_readings_at_several_points_of_one_training_are_no_further_evidence():
    late = results({"adaln-zero": [10.0, 14.0]})
    early = late.assign(images_seen=10, fd=late["fd"] * [1.0, 3.0])
    both = pd.concat([early, late], ignore_index=True)
    assert noise_of(both, "fd", "log") == noise_of(late, "fd", "log")


def test_rows_without_a_seed_or_a_value_tell_no_noise():
    frame = results({"adaln-zero": [10.0, 12.0]})
    assert not repeats_in(frame.assign(seed=None), "fd", "log")
    assert not repeats_in(frame.assign(fd=[10.0, np.nan]), "fd", "log")


def test_the_prior_is_the_metrics_own_and_in_its_unit_where_values_may_be_negative():
    frame = own_runs(1).assign(agreement=0.9, kid=[-1.0, *[2.0] * (len(own_runs(1)) - 1)])
    assert stated_prior(frame, "fd_digits", "log").sd == 0.09
    assert "24 trainings" in stated_prior(frame, "fd_digits", "log").source
    assert stated_prior(frame, "agreement", "log").sd == 0.035
    assert scale_in(frame, "kid") == "linear"
    assert stated_prior(frame, "kid", "linear").sd == pytest.approx(0.05 * 2.0)


def test_repeats_of_the_rest_of_the_folder_correct_the_prior():
    frame = results({"adaln-zero": [10.0], "adaln": [20.0]})
    other = results({"in-context": [10.0, 20.0, 30.0, 15.0]})
    model = noise_of(frame, "fd", "log", elsewhere=other)
    assert model.source == "prior: 3 repeats of the results folder"
    assert model.df == 6
    assert model.pooled_sd > 0.2


def test_whiskers_of_two_and_three_seeds_hold_the_mean():
    """From the lowest to the highest seed they held it in 50 % and 75 %."""
    rng = np.random.default_rng(0)
    for seeds in (1, 2, 3):
        rows = own_runs(seeds)
        rows = rows[rows["steps"] == 50]
        keys = rows["model_size"] + rows["patch"].astype(str)
        held = 0
        for _ in range(60):
            values = 20 * np.exp(0.09 * rng.standard_normal(len(rows)))
            made = rows.assign(fd_digits=values, fd_digits_low=values * 0.99)
            means = average_seeds(made.assign(fd_digits_high=values * 1.01), "fd_digits")
            held += int(((means["low"] < 20) & (means["high"] > 20)).sum())
        assert len(means) == keys.nunique() == 9
        assert held / (60 * 9) >= 0.92


def test_a_published_number_has_no_whisker():
    rows = own_runs(1).drop(columns=["fd_digits_low", "fd_digits_high"])
    means = average_seeds(rows[rows["steps"] == 50], "fd_digits")
    assert means["low"].isna().all()
    assert means["high"].isna().all()
