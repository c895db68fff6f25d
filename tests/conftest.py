"""What every test gets: one thread, an empty results folder, no network."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for a hub must fail, not hang
os.environ["MPLBACKEND"] = "Agg"

import pytest

# Files that mostly wait (a real Slurm, processes that are killed) start first, so that the others fill their pauses.
WAITING = ("slurm/test_slurm_real", "slurm/test_slurm_chaos", "dit_core/test_local", "dit_core/test_train", "slurm/",
           "dit_core/test_distributed", "dit_core/test_bench", "analysis/test_report")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that wait longest at the beginning; the order within a file stays."""

    def rank(item: pytest.Item) -> int:
        where = item.path.as_posix()
        return next((i for i, part in enumerate(WAITING) if f"tests/{part}" in where), len(WAITING))

    items.sort(key=rank)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return an empty results folder, made the default of every command."""
    from dit_core.records.paths import Store

    monkeypatch.setenv("DITLAB_RESULTS", str(tmp_path / "results"))
    return Store.at(None)


@pytest.fixture
def tiny():
    """Return a science that trains in a second: the smallest network, 30 steps of digits."""
    from dit_core.study.science import Data, Ddpm, Model, Science, Train

    return Science(
        model=Model(depth=2, hidden=48, heads=2, patch=4),
        data=Data(),
        objective=Ddpm(),
        train=Train(images=30 * 32, batch=32, lr=1e-3, ema=0.9),
    )
