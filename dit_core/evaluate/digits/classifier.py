"""The digit classifier: a small convolutional network whose weights ship with ditlab."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, silu

from dit_core.errors import EnvironmentProblem

FOLDER = Path(__file__).parent
WEIGHTS = FOLDER / "classifier.safetensors"
CARD = FOLDER / "classifier.json"
WIDTH = 64
CLASSES = 10


class DigitClassifier(nn.Module):
    """Two convolutions, a hidden layer of 64 (the features), ten logits; 38,282 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.hidden = nn.Linear(32 * 4 * 4, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """Return the hidden layer after its SiLU, (B, 64) float32, of images (B, 1, 8, 8) uint8."""
        x = images.float() / 127.5 - 1.0  # (B, 1, 8, 8)
        x = silu(self.conv1(x))  # (B, 16, 8, 8)
        x = silu(self.conv2(x))  # (B, 32, 8, 8)
        if (
            not x.requires_grad
        ):  # the same numbers ten times as fast; gradients would differ in their last digit
            x = x.contiguous(memory_format=torch.channels_last)
        x = max_pool2d(x, 2)  # (B, 32, 4, 4)
        # SiLU, not ReLU: with ReLU 28 of the 64 units were dead, and a dead unit measures nothing.
        units: Tensor = silu(self.hidden(x.flatten(1)))  # (B, 64)
        return units

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (B, 10), of images (B, 1, 8, 8) uint8."""
        logits: Tensor = self.head(self.features(images))
        return logits


def load_classifier(weights: Path = WEIGHTS) -> DigitClassifier:
    """Return the classifier with its shipped weights, in inference mode, on the CPU.

    Raises EnvironmentProblem where the weights file is missing or is not the one the metric is
    defined by.
    """
    from safetensors.torch import load

    data = checked_bytes(weights)
    model = DigitClassifier()
    model.load_state_dict(load(data))
    return model.requires_grad_(False).eval()


def checked_bytes(weights: Path = WEIGHTS) -> bytes:
    """Return the bytes of the weights file, compared with the sha256 on its card."""
    import hashlib

    if not weights.is_file():
        raise EnvironmentProblem(
            f"the digit classifier's weights are missing: {weights}; install ditlab again"
        )
    data = weights.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    wanted = card()["sha256"]
    if found != wanted:
        raise EnvironmentProblem(
            f"{weights}: sha256 is {found[:16]}…, must be {wanted[:16]}…; install ditlab again"
        )
    return data


@cache
def card() -> dict[str, Any]:
    """Return what is stated about the weights: sha256, held-out accuracy, how they were made."""
    import json

    stated: dict[str, Any] = json.loads(CARD.read_bytes())
    return stated


@cache
def digits_uint8() -> tuple[Tensor, Tensor]:
    """Return all 1,797 digits, (1797, 1, 8, 8) uint8, and labels (1797,), in their order.

    The values 0..16 take the road of every sample: to [-1, 1], then clamp(127.5 x + 128) as uint8.
    """
    from sklearn.datasets import load_digits

    from dit_core.evaluate.samples.pixels import to_uint8

    bunch = load_digits()
    x = torch.from_numpy(bunch.images.astype("float32")).unsqueeze(1) / 8.0 - 1.0
    return to_uint8(x), torch.from_numpy(bunch.target.astype("int64"))
