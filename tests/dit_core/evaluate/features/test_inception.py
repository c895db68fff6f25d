"""The real Inception code on random weights: what torch-fidelity gives, we give; and sFID derived a
second time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from inception import LAYER, Images, pictures, protocol_for

from dit_core.errors import EnvironmentProblem
from dit_core.evaluate.features.extractors import SPATIAL, make_extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import Reference
from dit_core.evaluate.metrics.measure import measure
from dit_core.study.catalogue.protocols import PROTOCOLS


@pytest.fixture
def weights(inception_weights: Path) -> Path:
    """Return a weights file of the real network."""
    return inception_weights


@pytest.mark.slow
def test_all_metrics_equal_torch_fidelity(weights: Path, monkeypatch):
    import torch_fidelity
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The same network on a smaller input: a fifth of the time, on both sides.
    monkeypatch.setattr(FeatureExtractorInceptionV3, "INPUT_IMAGE_SIZE", 139)
    fake = pictures(1, 24)
    real = pictures(2, 20)
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        cuda=False,
        batch_size=8,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
        feature_layer_fid=LAYER,
        feature_layer_kid=LAYER,
        feature_layer_prc=LAYER,
        fid=True,
        isc=True,
        kid=True,
        prc=True,
        kid_subsets=5,
        kid_subset_size=16,
        isc_splits=2,
        samples_shuffle=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    protocol = protocol_for(weights, metrics=("fid", "is", "kid", "precision", "recall"))
    extractor = make_extractor(protocol, {"inception": str(weights)})
    held = extractor(real)[LAYER]
    own = Moments.of(held)
    reference = Reference("real", "", 20, own.mean(), own.covariance(), held)
    batches = [extractor(part) for part in fake.split(8)]
    ours = measure(protocol, batches, reference, torch.zeros(24))
    keys = {
        "fid": "frechet_inception_distance",
        "is": "inception_score_mean",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }
    errors = {
        name: abs(ours[name]["value"] - theirs[key]) / abs(theirs[key])
        for name, key in keys.items()
    }
    print(
        "Inception against torch-fidelity, relative:",
        {name: f"{error:.1e}" for name, error in errors.items()},
    )
    assert theirs["precision"] > 0
    assert theirs["recall"] > 0
    assert max(errors.values()) <= 1e-4


def resized(images: torch.Tensor, size: int = 299) -> torch.Tensor:
    """Return images resized as TensorFlow 1 does: position x ratio, no half-pixel, no antialias."""
    n = images.shape[-1]
    position = torch.arange(size, dtype=torch.float64) * n / size
    low = position.floor().long()
    high = (low + 1).clamp(max=n - 1)
    share = position - low
    rows = images[:, :, low, :] * (1 - share)[:, None] + images[:, :, high, :] * share[:, None]
    return rows[..., low] * (1 - share) + rows[..., high] * share


def block(
    state: dict, name: str, x: torch.Tensor, stride: int = 1, padding: int | tuple[int, int] = 0
) -> torch.Tensor:
    """Return convolution, batch norm with stored statistics, ReLU, in float64."""
    part = {
        key.removeprefix(name + "."): value.double()
        for key, value in state.items()
        if key.startswith(name + ".")
    }
    x = F.conv2d(x, part["conv.weight"], stride=stride, padding=padding)
    scale = part["bn.weight"] / (part["bn.running_var"] + 1e-3).sqrt()
    x = (x - part["bn.running_mean"][:, None, None]) * scale[:, None, None] + part["bn.bias"][
        :, None, None
    ]
    return x.clamp(min=0)


def spatial_in_float64(state: dict, images: torch.Tensor) -> np.ndarray:
    """Return (B, 2023): 7 channels of the 1x1 branch of the third 17x17 block (TensorFlow's
    mixed_6/conv).
    """

    def pooled(
        x: torch.Tensor,
    ) -> torch.Tensor:  # mean over the neighbours that exist, as TensorFlow pools
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    def chain(
        x: torch.Tensor, name: str, *steps: tuple[str, int | tuple[int, int]]
    ) -> torch.Tensor:
        for step, padding in steps:
            x = block(state, f"{name}.{step}", x, padding=padding)
        return x

    x = (resized(images.double()) - 128) / 128
    x = block(state, "Conv2d_1a_3x3", x, stride=2)
    x = block(state, "Conv2d_2b_3x3", block(state, "Conv2d_2a_3x3", x), padding=1)
    x = F.max_pool2d(x, 3, 2)
    x = block(state, "Conv2d_4a_3x3", block(state, "Conv2d_3b_1x1", x))
    x = F.max_pool2d(x, 3, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        double = chain(x, name, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1), ("branch3x3dbl_3", 1))
        five = chain(x, name, ("branch5x5_1", 0), ("branch5x5_2", 2))
        x = torch.cat(
            [
                chain(x, name, ("branch1x1", 0)),
                five,
                double,
                chain(pooled(x), name, ("branch_pool", 0)),
            ],
            1,
        )
    inner = chain(x, "Mixed_6a", ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
    inner = block(state, "Mixed_6a.branch3x3dbl_3", inner, stride=2)
    x = torch.cat(
        [block(state, "Mixed_6a.branch3x3", x, stride=2), inner, F.max_pool2d(x, 3, 2)], 1
    )
    across = (0, 3)
    down = (3, 0)
    for name in ("Mixed_6b", "Mixed_6c"):
        seven = chain(x, name, ("branch7x7_1", 0), ("branch7x7_2", across), ("branch7x7_3", down))
        names = [
            (f"branch7x7dbl_{k}", p)
            for k, p in zip(range(1, 6), (0, down, across, down, across), strict=True)
        ]
        ones = chain(x, name, ("branch1x1", 0))
        pool = chain(pooled(x), name, ("branch_pool", 0))
        x = torch.cat([ones, seven, chain(x, name, *names), pool], 1)
    x = block(state, "Mixed_6d.branch1x1", x)[:, :7]
    return np.stack(
        [np.transpose(one, (1, 2, 0)).reshape(-1) for one in x.numpy()]
    )  # rows, columns, channels last


@pytest.mark.slow
def test_spatial_features_equal_a_second_derivation_in_float64(weights: Path):
    images = pictures(1, 2)
    extractor = make_extractor(
        protocol_for(weights, metrics=("fid", "sfid"), layer="2048"), {"inception": str(weights)}
    )
    found = extractor(images)
    assert found[SPATIAL].shape == (2, 2023)
    assert set(found) == {"2048", SPATIAL}
    golden = spatial_in_float64(torch.load(weights, weights_only=True), images)
    error = np.abs(found[SPATIAL].numpy() - golden).max() / np.abs(golden).max()
    print(f"sFID features against float64: largest difference {error:.1e} of the largest value")
    assert np.abs(golden).max() > 0.1
    assert error <= 1e-4
    again = extractor(images.flip(0))
    assert torch.allclose(again[SPATIAL].flip(0), found[SPATIAL], rtol=1e-3, atol=1e-4)


def test_weights_with_another_hash_are_refused_before_they_are_loaded(tmp_path: Path, monkeypatch):
    bad = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    bad.write_bytes(b"not the weights")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("loaded"))
    for roots in ({"inception": str(bad)}, {"inception": str(tmp_path)}):
        with pytest.raises(EnvironmentProblem, match=r"6726825d.*put the right file there"):
            make_extractor(PROTOCOLS["dit-scaling"], roots)


def test_an_offline_machine_is_told_what_to_put_where(tmp_path: Path, monkeypatch):
    for name in ("DITLAB_ASSETS", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("DITLAB_OFFLINE", "1")
    with pytest.raises(EnvironmentProblem) as caught:
        make_extractor(PROTOCOLS["dit-scaling"])
    words = str(caught.value)
    assert "get https://" in words
    assert str(tmp_path / "DITLAB_ASSETS" / "weights-inception-2015-12-05-6726825d.pth") in words
    assert "execution.data_roots.inception" in words
    assert "\n" not in words
    with pytest.raises(EnvironmentProblem, match=r"execution\.data_roots\.inception is 'nowhere'"):
        make_extractor(PROTOCOLS["dit-scaling"], {"inception": "nowhere"})
