"""Names of models in figures: only what differs, and neither defaults nor what most share."""

from __future__ import annotations

import pandas as pd

from analysis.select.configuration import config_names

BASE = {
    "model_size": "XXXS",
    "patch": 4,
    "model_positions": "sincos-2d",
    "train_lr": 1e-3,
    "train_ema": 0.99,
    "train_label_dropout": 0.1,
    "train_clip": None,
}


def names(*changes: dict[str, object]) -> list[str]:
    return config_names(pd.DataFrame([BASE | change for change in changes])).tolist()


def test_an_ablation_names_what_each_run_changes():
    found = names(
        {},
        {"train_lr": 3e-3},
        {"train_label_dropout": 0.3},
        {"model_positions": "learned"},
        {"train_ema": 0.9},
    )
    assert found == [
        "XXXS/4",
        "XXXS/4 lr 0.003",
        "XXXS/4 label dropout 0.3",
        "XXXS/4 learned",
        "XXXS/4 ema 0.9",
    ]


def test_an_axis_without_the_default_names_all_its_values():
    assert names({}, {"train_lr": 3e-3}) == ["XXXS/4 lr 0.001", "XXXS/4 lr 0.003"]


def test_of_an_axis_with_the_default_the_default_goes_without_saying():
    found = names({"train_label_dropout": 0.0}, {})
    assert found == ["XXXS/4 label dropout 0", "XXXS/4"]


def test_names_tell_all_configurations_apart():
    grid = [{"train_lr": lr, "train_ema": ema} for lr in (1e-3, 3e-3) for ema in (0.9, 0.99, 0.5)]
    assert len(set(names(*grid))) == 6


def test_seeds_have_one_name():
    assert len(set(names({"seed": 0}, {"seed": 1}))) == 1
