"""Runs and settings for the tests of evaluations."""

from __future__ import annotations

import pytest
from trained import Trained, trained_run

from dit_core.study.science.execution import Execution


@pytest.fixture
def trained(store, tiny) -> Trained:
    """Return the tiny digits run with random weights."""
    return trained_run(store, tiny)


@pytest.fixture
def execution() -> Execution:
    """Return small batches on the CPU."""
    return Execution(device="cpu", sample_batch=32)
