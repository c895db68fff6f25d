"""Names of runs: of the swept axes, unique, safe as file names."""

from __future__ import annotations

import re
from collections.abc import Callable

from dit_core.study.grid.expand import Expansion, expand
from dit_core.study.grid.names import distinct
from dit_core.study.language.study_model import Study

Load = Callable[[str], Study]
Expand = Callable[..., Expansion]
TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
MANY = ["lr", "weight_decay", "beta1", "beta2", "clip", "ema", "label_dropout"]


def test_names_of_runs_are_safe_file_names(study: Load, small: str) -> None:
    axes = "train.duration: [100 steps, 1.5k steps], train.lr: [1e-3, 1e-05], train.clip: [null, 1]"
    text = f"{small}axes: {{{axes}}}\n"
    names = [run.name for run in expand(study(text)).runs]
    assert names[0] == "duration=100-steps,lr=0.001,clip=null"
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.,=_+~-]{0,127}", name) for name in names)
    assert len({name.lower() for name in names}) == len(names) == 8


def test_names_are_marked_where_labels_would_be_shared(expanded: Expand, small: str) -> None:
    axes = "axes: {train.seed: [0, 1]}\n"
    text = small + axes + "include: [{train.lr: 2e-3, train.seed: 1}, {train.seed: 1}]\n"
    both = expanded(text)
    assert [run.name for run in both.runs] == ["seed=0", "seed=1", "lr=0.002,seed=1"]
    assert both.merged_duplicates == 1
    text = (
        small
        + "include: [{train.beta1: 0.5}, {train.beta1: 0.50000000000000001, train.beta2: 0.5}]\n"
    )
    assert [run.name for run in expanded(text).runs] == ["beta1=0.5", "beta1=0.5,beta2=0.5"]
    assert distinct([("a", "1" * 16), ("b", "2" * 16), ("A", "3" * 16)]) == [
        "a~11111111",
        "b",
        "A~33333333",
    ]


def test_long_names_are_cut_and_stay_unique(expanded: Expand, small: str) -> None:
    fixed = ", ".join(f"train.{name}: [0.{i}1234567890123]" for i, name in enumerate(MANY, start=1))
    names = [run.name for run in expanded(small + f"axes: {{{fixed}, train.seed: {TEN}}}\n").runs]
    assert len(set(names)) == 10
    assert all(len(name) <= 120 and re.search("~[0-9a-f]{8}$", name) for name in names)
