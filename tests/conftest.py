"""What every test gets: one thread, an empty results folder, no network."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for a hub must fail, not hang
os.environ["MPLBACKEND"] = "Agg"

import pytest


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return an empty results folder, made the default of every command."""
    from dit_core.records.paths import Store

    monkeypatch.setenv("DITLAB_RESULTS", str(tmp_path / "results"))
    return Store.at(None)


@pytest.fixture
def tiny():
    """Return a science that trains in a second: the smallest network, 30 steps of digits."""
    from dit_core.study.science.science import Data, Ddpm, Model, Science, Train

    return Science(
        model=Model(depth=2, hidden=48, heads=2, patch=4),
        data=Data(),
        objective=Ddpm(),
        train=Train(images=30 * 32, batch=32, lr=1e-3, ema=0.9),
    )
