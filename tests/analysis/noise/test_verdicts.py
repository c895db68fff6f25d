"""A smaller run of benchmarks/verdicts.py, whose table is in docs/verdicts.md."""

from __future__ import annotations

import math

import pytest

from benchmarks.verdicts import Cell, cells, rates, wrong

REPLICATES = 100
CHOSEN = [cell for cell in cells() if cell.truth == "boundary" and cell.seeds in ("1", "2")]


@pytest.mark.parametrize("cell", CHOSEN, ids=repr)
def test_verdicts_at_the_boundary_are_rarely_wrong(cell: Cell):
    bound = 0.08 if cell.prior == "half" else 0.05
    seen = bound + 3 * math.sqrt(bound * (1 - bound) / REPLICATES)
    assert wrong(cell, rates(cell, REPLICATES)) <= seen


def test_what_is_clearly_so_is_seen():
    assert rates(Cell("order", "true", 4, "first two"), REPLICATES)["SUPPORTED"] >= 0.9
    assert rates(Cell("ratio", "false", 2, "3"), REPLICATES)["REFUTED"] >= 0.9
