"""The shipped digit classifier: its size, hash, stated accuracy, and its place in
torch-fidelity.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from dit_core.errors import DataError, EnvironmentProblem
from dit_core.evaluate.digits import classifier, make
from dit_core.evaluate.digits.extractor import NAME, register
from dit_core.evaluate.features.extractors import make_extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.metrics.feature_scores import inception_score, kid
from dit_core.evaluate.metrics.frechet import frechet
from dit_core.evaluate.metrics.precision_recall import precision_recall
from dit_core.study.catalogue.protocols import PROTOCOLS


def test_weights_are_small_and_those_of_the_protocol():
    card = classifier.card()
    assert classifier.WEIGHTS.stat().st_size == card["bytes"] < 1_000_000
    assert PROTOCOLS["digits"].weights_sha256 == card["sha256"]


def test_the_stated_accuracy_is_measured_again():
    images, labels = classifier.digits_uint8()
    train, held = make.split(labels)
    assert not set(train.tolist()) & set(held.tolist())
    model = classifier.load_classifier()
    found = make.accuracy(model, images[held], labels[held])
    print(f"digit classifier: {found:.4f} of {len(held)} held-out digits")
    assert found == pytest.approx(classifier.card()["held_out_accuracy"], abs=1e-9)
    assert found > 0.97


def test_no_feature_is_dead():
    images, _ = classifier.digits_uint8()
    features = classifier.load_classifier().features(images)
    assert features.shape == (1797, 64)
    assert (features.std(dim=0) > 0.05).all()


def test_altered_weights_are_refused(tmp_path: Path):
    data = bytearray(classifier.WEIGHTS.read_bytes())
    refused = 0
    flips = 20
    for k in range(flips):
        data[len(data) * k // flips] ^= 1
        (tmp_path / "w.safetensors").write_bytes(data)
        with pytest.raises(EnvironmentProblem, match="sha256"):
            classifier.load_classifier(tmp_path / "w.safetensors")
        refused += 1
        data[len(data) * k // flips] ^= 1
    print(f"altered classifier weights refused: {refused} of {flips}")


def test_shifts_move_by_one_pixel_at_most():
    images = torch.zeros(200, 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 4, 4] = 9
    moved = make.shifted(images, torch.Generator().manual_seed(0))
    places = {tuple(p) for p in torch.nonzero(moved)[:, 2:].tolist()}
    assert places == {(y, x) for y in (3, 4, 5) for x in (3, 4, 5)}


class Images(Dataset):
    """Three equal channels, as torch-fidelity wants them."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def test_all_metrics_equal_torch_fidelity_on_the_digits():
    import torch_fidelity

    register()
    register()  # a second time is harmless
    images, _ = classifier.digits_uint8()
    rng = np.random.default_rng(0)
    order = torch.from_numpy(rng.permutation(1797))
    real = images[order[:900]]
    noisy = images[order[900:1500]].float()
    noisy = (
        (noisy + 40 * torch.from_numpy(rng.standard_normal(noisy.shape)))
        .clamp(0, 255)
        .to(torch.uint8)
    )
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(noisy),
        input2=Images(real),
        cuda=False,
        batch_size=100,
        feature_extractor=NAME,
        fid=True,
        isc=True,
        kid=True,
        prc=True,
        kid_subsets=10,
        kid_subset_size=300,
        isc_splits=5,
        samples_shuffle=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    extractor = make_extractor(PROTOCOLS["digits"])
    a = extractor(noisy)
    b = extractor(real)
    one = Moments.of(a["64"])
    two = Moments.of(b["64"])
    shares = precision_recall(a["64"], b["64"])
    ours = {
        "frechet_inception_distance": frechet(
            one.mean(), one.covariance(), two.mean(), two.covariance()
        ),
        "inception_score_mean": inception_score(a["logits"], 5)["value"],
        "kernel_inception_distance_mean": kid(a["64"], b["64"], 10, 300)["value"],
        "precision": shares["precision"]["value"],
        "recall": shares["recall"]["value"],
    }
    errors = {key: abs(value / theirs[key] - 1) for key, value in ours.items()}
    print(
        "against torch-fidelity, relative:", {key: f"{error:.1e}" for key, error in errors.items()}
    )
    assert max(errors.values()) <= 1e-4


def test_only_8_bit_images_of_the_right_size_are_taken():
    extractor = make_extractor(PROTOCOLS["digits"])
    with pytest.raises(DataError, match="must be uint8, got float32"):
        extractor(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="8, 8"):
        extractor(torch.zeros(2, 1, 9, 9, dtype=torch.uint8))
