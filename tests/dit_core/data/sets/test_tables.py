"""Built-in tables, with groups of features and without."""

from __future__ import annotations

from dataclasses import replace

import torch

from dit_core.data.sets.built_in import built_in
from dit_core.study.catalogue.data_sets import DATA_SETS
from dit_core.study.science.data import BUILT_IN


def test_a_table_without_groups_is_read_in_its_own_order(monkeypatch):
    grouped = built_in(BUILT_IN["breast-cancer"])
    row = replace(DATA_SETS["breast-cancer"], groups={})
    monkeypatch.setitem(DATA_SETS, row.name, row)
    plain = built_in(BUILT_IN[row.name].model_copy(update={"modules": ""}))
    values, shuffled = plain.x.flatten(1), grouped.x.flatten(1)
    assert torch.equal(values[:, 10], shuffled[:, 1])  # "radius error", second of its group
    assert torch.equal(values.sort(1).values, shuffled.sort(1).values)
