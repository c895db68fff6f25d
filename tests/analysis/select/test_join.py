"""Runs beside their evaluations."""

from __future__ import annotations

import pandas as pd

from analysis.select.join import join


def test_an_evaluation_keeps_its_own_training_point():
    runs = pd.DataFrame(
        {"run_id": ["a", "b"], "images_seen": [64.0, 32.0], "fwd_gmacs": [1.0, 1.0]}
    )
    evals = pd.DataFrame(
        {"run_id": ["a", "a"], "images_seen": [16.0, 64.0], "fd_digits": [91.0, 19.0]}
    )
    frame = join(runs, evals)
    assert frame["images_seen"].tolist() == [16.0, 64.0, 32.0]
    assert frame["train_flops"].tolist() == [16 * 6e9, 64 * 6e9, 32 * 6e9]
