"""Torch-fidelity's Inception with random weights, a narrow protocol for it, and images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from dit_core.records.disk.files import sha256_of
from dit_core.study.catalogue.protocols import PROTOCOLS

LAYER = "192"


WIDTH = 192


def random_inception(path: Path) -> Path:
    """Write seeded random weights of torch-fidelity's Inception to `path` and return it."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = theirs.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if value.dim() >= 2:
            state[name] = (
                torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
            )
        elif name.endswith("bn.weight") or name.endswith("running_var"):
            state[name] = 1 + 0.1 * torch.rand(value.shape, generator=generator)
        elif value.is_floating_point():
            state[name] = 0.1 * torch.randn(value.shape, generator=generator)
    torch.save(state, path)
    return path


def protocol_for(weights: Path, **changes):
    """Return dit-scaling's protocol with the test's weights and a narrow layer, so that a few
    images suffice.
    """
    narrow = {
        "weights_sha256": sha256_of(weights),
        "layer": LAYER,
        "width": WIDTH,
        "image": (3, 32, 32),
        "classes": None,
    }
    small = {"kid_subsets": 5, "kid_subset_size": 16, "is_splits": 2, "samples": None}
    return replace(PROTOCOLS["dit-scaling"], **{**narrow, **small, **changes})


def pictures(seed: int, count: int) -> torch.Tensor:
    """Return (count, 3, 32, 32) uint8 images with some structure, their contrast depending on the
    seed.
    """
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 4, 4)))
    fine = torch.from_numpy(rng.standard_normal((count, 3, 32, 32)) * 8 * seed)
    return (F.interpolate(coarse, size=32, mode="bilinear") + fine).clamp(0, 255).to(torch.uint8)


class Images(Dataset):
    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def save_npz(path: Path, images: torch.Tensor, **more: np.ndarray) -> Path:
    np.savez(path, arr_0=images.permute(0, 2, 3, 1).numpy(), **more)
    return path
