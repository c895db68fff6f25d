"""Small image folders and a small VAE, made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory) -> Path:
    """A randomly initialised AutoencoderKL that halves the side of an image; a folder as diffusers
    writes it.
    """
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    folder = tmp_path_factory.mktemp("vae")
    vae.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory):
    """Return a function (images, classes=4) -> folder of small PNGs of several shapes, a sub-folder
    per class.
    """

    def make(images: int, classes: int = 4, side: int = 16) -> Path:
        root = tmp_path_factory.mktemp("images")
        draw = np.random.default_rng(images)
        for i in range(images):
            folder = root / f"class{i % classes}"
            folder.mkdir(exist_ok=True)
            pixels = draw.integers(0, 256, (side + i % 5, side + i % 3, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:05d}.png")
        return root

    return make
