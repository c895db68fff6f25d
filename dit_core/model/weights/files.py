"""Weights of others as files: a released `.pt` or a diffusers folder, and its network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.weights.described import Described, Found, Imported
from dit_core.model.weights.folder import read_folder
from dit_core.model.weights.network import science_of, side_of
from dit_core.model.weights.pickled import load_tensors, released_state
from dit_core.model.weights.released import from_released, to_released
from dit_core.model.weights.sit import flow_of_sit, require_rectified_flow
from dit_core.records.disk.files import sha256_of, write_atomic
from dit_core.study.science.science import Science


def read_foreign(path: Path, described: Described) -> Imported:
    """Return the network at `path`: a released `.pt` file or a diffusers DiT folder.

    Nothing but tensors is unpickled. Raises UserError naming what is wrong for anything that is not
    a DiT.
    """
    if path.is_dir():
        return read_folder(path, described)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file or folder; wanted is a DiT .pt file or a diffusers folder"
        )
    loaded = load_tensors(path)
    released = released_state(loaded, path)
    source = str(path)
    side = side_of(released, source)
    if described.flow == "sit":
        require_rectified_flow(loaded, source)
        released = flow_of_sit(released, source)
    found = Found(released, source, sha256_of(path), side, classes=_classes_told(loaded))
    science, notes = science_of(found, described)
    return Imported(science, from_released(released, science, source), notes)


def write_released(path: Path, weights: Mapping[str, Tensor], science: Science) -> None:
    """Write a `.pt` that the released code reads: a state dict of tensors, no other objects."""
    if science.dit.time_frequencies == "sit":
        raise UserError("a network with SiT's time frequencies has no layout to be exported to")
    released = to_released(weights, science)
    buffer = io.BytesIO()
    torch.save({name: tensor.contiguous().clone() for name, tensor in released.items()}, buffer)
    write_atomic(path, buffer.getvalue())


def _classes_told(loaded: Any) -> int | None:
    """Return the number of classes among the arguments that the released script stores."""
    stored = loaded.get("args") if isinstance(loaded, Mapping) else None
    told = getattr(stored, "num_classes", None)
    return told if isinstance(told, int) and told > 0 else None
