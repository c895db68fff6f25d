"""Folders of diffusers' `DiTTransformer2DModel`: its weights and its config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.embeddings import fixed_positions
from dit_core.model.weights.described import Described, Found, Imported
from dit_core.model.weights.diffusers_layout import (
    diffusers_config,
    released_of_diffusers,
    to_diffusers,
)
from dit_core.model.weights.network import require, science_of
from dit_core.model.weights.pickled import load_tensors, released_state
from dit_core.model.weights.released import KERNEL, Tensors, from_released
from dit_core.records.disk.files import sha256_of, write_atomic
from dit_core.study.science.science import Science

WEIGHTS = "diffusion_pytorch_model.safetensors"
PICKLED = "diffusion_pytorch_model.bin"
# Settings of diffusers' class under which it is the published network; others are refused.
FIXED = {
    "activation_fn": "gelu-approximate",
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
    "attention_bias": True,
    "dropout": 0.0,
}
NORM_NOTE = (
    "its second norm of each block adds 1e-5 in diffusers and 1e-6 here, as in the released code: "
    "outputs may differ by more than 1e-5"
)


def read_folder(folder: Path, described: Described) -> Imported:
    """Return the network of a folder, or of a whole pipeline's; raise UserError for any other."""
    if described.flow == "sit":
        raise UserError(f"{folder}: a SiT is read from its .pt file; diffusers has no such model")
    if not (folder / "config.json").is_file() and (folder / "transformer/config.json").is_file():
        folder = folder / "transformer"  # a whole pipeline was given
    config = _config(folder)
    path = next((folder / n for n in (WEIGHTS, PICKLED) if (folder / n).is_file()), None)
    if path is None:
        raise UserError(f"{folder}: holds no {WEIGHTS} (sharded folders are not read)")
    released = released_of_diffusers(_tensors(path), str(path))
    require(released, KERNEL, str(path))
    d, _, _, p = released[KERNEL].shape
    grid = config["sample_size"] // p
    released["pos_embed"] = fixed_positions("sincos-2d", (grid, grid), d)[None]
    found = Found(
        released=released,
        source=str(path),
        sha256=sha256_of(path),
        side=config["sample_size"],
        frequencies="diffusers",
        heads=config["num_attention_heads"],
        classes=config.get("num_embeds_ada_norm"),
    )
    science, notes = science_of(found, described)
    if config.get("norm_eps", 1e-5) != 1e-6:
        notes += (NORM_NOTE,)
    return Imported(science, from_released(released, science, str(path)), notes)


def write_diffusers(folder: Path, weights: Mapping[str, Tensor], science: Science) -> None:
    """Write a folder that `DiTTransformer2DModel.from_pretrained` reads; config.json comes last."""
    config = {"_class_name": "DiTTransformer2DModel", **FIXED, **diffusers_config(science)}
    theirs = to_diffusers(weights, science)
    tensors = {name: tensor.contiguous().clone() for name, tensor in theirs.items()}
    write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    write_atomic(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def _tensors(path: Path) -> Tensors:
    if path.name == PICKLED:
        return released_state(load_tensors(path), path)
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own type
        raise UserError(f"{path}: not readable as safetensors ({error})") from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: is no diffusers model folder: config.json is missing or not JSON"
        ) from error
    name = config.get("_class_name") if isinstance(config, dict) else None
    if name not in ("DiTTransformer2DModel", "Transformer2DModel"):
        raise UserError(f"{path}: is of {name!r}; only diffusers' DiTTransformer2DModel is read")
    for key, wanted in FIXED.items():
        if config.get(key, wanted) != wanted:
            raise UserError(f"{path}: {key} is {config[key]!r}; a DiT has {wanted!r}")
    for key in ("num_attention_heads", "sample_size"):
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise UserError(
                f"{path}: {key} is {config.get(key)!r}; wanted is a positive whole number"
            )
    return dict(config)
