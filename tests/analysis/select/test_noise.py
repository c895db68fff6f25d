"""One definition of the noise between seeds, for claims and comparisons alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.select.compare import compare
from analysis.select.noise import noise_between_seeds, noise_of
from analysis.tables import load


def results(values: dict[str, list[float]]) -> pd.DataFrame:
    """Return results of one design per entry, one value per seed."""
    base = dict.fromkeys(load.results("/nothing/there").columns)
    fixed = base | {"model_patch": 2, "patch": 2, "steps": 10, "images_seen": 100, "protocol": "p"}
    rows = [
        fixed
        | {"conditioning": design, "model_conditioning": design, "train_seed": seed, "seed": seed}
        | {"fd": value, "fd_low": value - 1, "fd_high": value + 1, "sample_seed": 0}
        for design, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    return pd.DataFrame(rows)


def test_claims_and_comparisons_have_one_noise():
    frame = results({"adaln-zero": [10.0, 12.0, 15.0], "adaln": [20.0, 21.0]})
    expected = np.sqrt((np.var([10, 12, 15]) * 3 + np.var([20, 21]) * 2) / 3)
    found = noise_of(frame, "fd", ("conditioning",))
    assert (found.sd, found.df) == (pytest.approx(expected), 3)
    compared = compare(frame, "conditioning", "fd")
    assert (compared.floor, compared.repeats) == (pytest.approx(2 * expected), 3)


def test_readings_of_one_training_are_averaged_and_are_no_repeats():
    frame = results({"adaln-zero": [10.0, 14.0], "adaln": [20.0, 26.0]})
    again = frame.assign(sample_seed=1, fd=frame["fd"] + 2.0)
    once = noise_of(frame, "fd", ("conditioning",))
    both = pd.concat([frame, again], ignore_index=True)
    assert noise_of(both, "fd", ("conditioning",)) == once
    assert compare(both, "conditioning", "fd").floor == pytest.approx(2 * once.sd)
    lone = both[both["train_seed"] == 0]
    assert compare(lone, "conditioning", "fd").floor is None
    assert noise_of(lone, "fd", ("conditioning",)).source.startswith("the records' own intervals")


def test_rows_without_a_seed_or_a_value_tell_no_noise():
    values = pd.Series([1.0, 2.0, np.nan])
    alike = pd.Series(["a", "a", "a"])
    assert noise_between_seeds(values, alike, pd.Series([0, None, 2])).sd is None
