"""Runs, settings and networks for the tests of evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from inception import random_inception
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


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weights file of the real network, random but seeded; nobody writes to it."""
    return random_inception(tmp_path_factory.mktemp("inception") / "inception.pth")


@pytest.fixture(scope="module")
def small_input() -> Iterator[None]:
    """Run Inception on 75 x 75 pixels: the same code in a twentieth of the time."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "INPUT_IMAGE_SIZE", 75)
        yield
