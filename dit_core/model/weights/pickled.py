"""Checkpoints of `torch.save`, of which nothing but tensors is unpickled."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.weights.released import Tensors


def load_tensors(path: Path) -> Any:
    """Return what a file holds; raise UserError where reading it would run its code."""
    # The released training script stores its arguments beside the weights: a Namespace, harmless.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path}: is not a checkpoint of tensors that can be read without running its code "
            f"({reason[:120]})"
        ) from error


def released_state(loaded: Any, path: Path) -> Tensors:
    """Return the state dict of a loaded `.pt` file: its "ema", else its "model", else itself."""
    for entry in ("ema", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(entry), Mapping):
            loaded = loaded[entry]
            break
    named = isinstance(loaded, Mapping) and bool(loaded)
    if not named or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise UserError(
            f"{path}: holds no state dict (names to tensors), neither at the top nor under 'ema'"
        )
    return dict(loaded)
