"""Make the classifier's weights: `python -m dit_core.evaluate.digits.make` (about 10 s).

Trained on 1,437 of the 1,797 digits (a stratified split, seed 0) with shifts of up to one pixel;
the other 360 are held out and only measured. A new file is a new metric: `fd_digits` values of
different weights must never be compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.evaluate.digits.classifier import CARD, WEIGHTS, DigitClassifier, digits_uint8
from dit_core.records.disk.files import sha256_of, write_atomic, write_json

EPOCHS = 60
BATCH = 64
RATE = 1e-3
DROPOUT = 0.5
SEED = 0
HELD_OUT = 360


def split(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return (training, held-out) indices, stratified by label, the same on every machine."""
    from sklearn.model_selection import train_test_split

    indices = list(range(len(labels)))
    train, held = train_test_split(
        indices, test_size=HELD_OUT, random_state=SEED, stratify=labels.numpy()
    )
    return torch.tensor(sorted(train)), torch.tensor(sorted(held))


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (B, 1, 8, 8), each moved by -1, 0 or 1 pixel, zeros moving in."""
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    dy, dx = torch.randint(0, 3, (2, len(images), 1, 1), generator=generator)
    rows = torch.arange(8).view(1, 8, 1) + dy
    columns = torch.arange(8).view(1, 1, 8) + dx
    return padded[torch.arange(len(images)).view(-1, 1, 1), 0, rows, columns].unsqueeze(1)


def fit(images: Tensor, labels: Tensor) -> DigitClassifier:
    """Return a classifier trained on images (N, 1, 8, 8) uint8 and labels (N,)."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = DigitClassifier()
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            features = model.features(shifted(images[rows], generator))
            logits = model.head(torch.nn.functional.dropout(features, DROPOUT))
            loss = torch.nn.functional.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model: DigitClassifier, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is their label."""
    return float((model(images).argmax(dim=1) == labels).double().mean())


def make(weights: Path, card: Path) -> dict[str, Any]:
    """Train, write the weights and the card beside them, and return the card."""
    from safetensors.torch import save

    torch.set_num_threads(1)
    images, labels = digits_uint8()
    train, held = split(labels)
    model = fit(images[train], labels[train])
    write_atomic(
        weights, save({name: value.contiguous() for name, value in model.state_dict().items()})
    )
    stated = {
        "what": "digit classifier of the fd_digits metric; "
        "features are the 64 hidden units after SiLU",
        "sha256": sha256_of(weights),
        "bytes": weights.stat().st_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_images": len(train),
        "held_out_images": len(held),
        "train_accuracy": accuracy(model, images[train], labels[train]),
        "held_out_accuracy": accuracy(model, images[held], labels[held]),
        "made_by": "python -m dit_core.evaluate.digits.make",
        "recipe": {
            "epochs": EPOCHS,
            "batch": BATCH,
            "lr": RATE,
            "dropout": DROPOUT,
            "seed": SEED,
            "shift_pixels": 1,
        },
        "torch": torch.__version__,
    }
    write_json(card, stated)
    return stated


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--card", type=Path, default=CARD)
    arguments = parser.parse_args()
    print(make(arguments.weights, arguments.card))
