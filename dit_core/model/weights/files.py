"""Weights of others as files: a released `.pt` or a diffusers folder, and its network."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.embeddings import fixed_positions
from dit_core.model.weights.layouts import (
    Tensors,
    block_count,
    diffusers_config,
    from_released,
    released_of_diffusers,
    to_diffusers,
    to_released,
)
from dit_core.records.disk.files import sha256_of, write_atomic
from dit_core.study.catalogue.data_sets import images_of
from dit_core.study.science.science import (
    SIZES,
    Data,
    Ddpm,
    Flow,
    Model,
    Positions,
    Science,
    Train,
)

WEIGHTS = "diffusion_pytorch_model.safetensors"
# Settings of diffusers' class under which it is the published network; others are refused.
FIXED = {
    "activation_fn": "gelu-approximate",
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
    "attention_bias": True,
    "dropout": 0.0,
}


@dataclass(frozen=True, slots=True)
class Described:
    """What a file does not say and its user must."""

    data: str = "imagenet"
    kind: str = "latents"
    images_seen: int | None = None
    heads: int | None = None
    flow: bool = False
    frequencies: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A network of others, in our layout."""

    science: Science
    weights: Tensors
    notes: tuple[str, ...]


def read_foreign(path: Path, described: Described) -> Imported:
    """Return the network at `path`: a released `.pt` file or a diffusers DiT folder.

    Nothing but tensors is unpickled. Raises UserError naming what is wrong for anything that is not
    a DiT.
    """
    if path.is_dir():
        return _read_folder(path, described)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file or folder; wanted is a DiT .pt file or a diffusers folder"
        )
    released = released_state(_load(path), path)
    side = _side(released, path)
    science, notes = _science(released, described, path, side, "released", sha256_of(path))
    return Imported(science, from_released(released, science, str(path)), notes)


def released_state(loaded: Any, path: Path) -> Tensors:
    """Return the state dict of a loaded `.pt` file: its "ema", else its "model", else itself."""
    for entry in ("ema", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(entry), Mapping):
            loaded = loaded[entry]
            break
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(v, Tensor) for v in loaded.values())
    ):
        raise UserError(
            f"{path}: holds no state dict (names to tensors), neither at the top nor under 'ema'"
        )
    return dict(loaded)


def write_released(path: Path, weights: Mapping[str, Tensor], science: Science) -> None:
    """Write a `.pt` that the released code reads: a state dict of tensors, no other objects."""
    import io

    buffer = io.BytesIO()
    torch.save(
        {
            name: tensor.contiguous().clone()
            for name, tensor in to_released(weights, science).items()
        },
        buffer,
    )
    write_atomic(path, buffer.getvalue())


def write_diffusers(folder: Path, weights: Mapping[str, Tensor], science: Science) -> None:
    """Write a folder that `DiTTransformer2DModel.from_pretrained` reads; config.json comes last."""
    from safetensors.torch import save

    config = {"_class_name": "DiTTransformer2DModel", **FIXED, **diffusers_config(science)}
    tensors = {
        name: tensor.contiguous().clone() for name, tensor in to_diffusers(weights, science).items()
    }
    write_atomic(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    write_atomic(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def _load(path: Path) -> Any:
    # The released training script stores its arguments beside the weights: a Namespace, harmless
    # and not used.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path}: is not a checkpoint of tensors that can be read without running its code "
            f"({reason[:120]})"
        ) from error


def _read_folder(folder: Path, described: Described) -> Imported:
    if (
        not (folder / "config.json").is_file()
        and (folder / "transformer" / "config.json").is_file()
    ):
        folder = folder / "transformer"  # a whole pipeline was given
    config = _config(folder)
    path = next(
        (folder / n for n in (WEIGHTS, "diffusion_pytorch_model.bin") if (folder / n).is_file()),
        None,
    )
    if path is None:
        raise UserError(f"{folder}: holds no {WEIGHTS} (sharded folders are not read)")
    if path.suffix == ".bin":
        given = released_state(_load(path), path)
    else:
        try:
            given = load_file(path)
        except Exception as error:  # safetensors raises its own type
            raise UserError(f"{path}: not readable as safetensors ({error})") from error
    released = released_of_diffusers(given, str(path))
    described = replace(described, heads=described.heads or config["num_attention_heads"])
    _require(released, "x_embedder.proj.weight", path)
    p = released["x_embedder.proj.weight"].shape[-1]
    d = released["x_embedder.proj.weight"].shape[0]
    grid = config["sample_size"] // p
    released["pos_embed"] = fixed_positions("sincos-2d", (grid, grid), d)[None]
    science, notes = _science(
        released, described, path, config["sample_size"], "diffusers", sha256_of(path)
    )
    if config.get("norm_eps", 1e-5) != 1e-6:
        notes += (
            "its second norm of each block adds 1e-5 in diffusers and 1e-6 here, as in the "
            "released code: outputs may "
            "differ by more than 1e-5",
        )
    return Imported(science, from_released(released, science, str(path)), notes)


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


def _science(
    released: Mapping[str, Tensor],
    described: Described,
    path: Path,
    side: int,
    frequencies: str,
    sha256: str,
) -> tuple[Science, tuple[str, ...]]:
    """Return the science of the network in `released` and what its user should know about it."""
    for name in (
        "y_embedder.embedding_table.weight",
        "final_layer.linear.bias",
        "blocks.0.mlp.fc1.bias",
    ):
        _require(released, name, path)
    d, C, p, _ = released["x_embedder.proj.weight"].shape
    depth = block_count(released, "blocks")
    notes: tuple[str, ...] = ()
    channels_out = len(released["final_layer.linear.bias"]) / p**2
    if channels_out not in (C, 2 * C):
        raise UserError(
            f"{path}: returns {channels_out:g} channels for {C}; a DiT returns {C} or {2 * C}"
        )
    if described.flow and channels_out != C:
        raise UserError(f"{path}: returns {channels_out:g} channels for {C}; a flow returns {C}")
    images = described.images_seen
    if images is None:
        notes += ("images seen are not known and filed as 1; --images-seen gives them",)
    try:
        # Words of the command line are among these; pydantic checks them.
        model = Model.model_validate(
            {
                "depth": depth,
                "hidden": d,
                "heads": described.heads or _heads(depth, d, path),
                "patch": p,
                "mlp_ratio": len(released["blocks.0.mlp.fc1.bias"]) / d,
                "positions": _positions(released["pos_embed"], side // p, d),
                "time_frequencies": described.frequencies or frequencies,
            }
        )
        data = Data.model_validate(
            {
                "name": described.data,
                "kind": described.kind,
                "channels": C,
                "height": side,
                "width": side,
                "classes": len(released["y_embedder.embedding_table.weight"]) - 1,
                "images": images_of(described.data) or 1,
            }
        )
        objective = Flow() if described.flow else Ddpm(learn_sigma=channels_out == 2 * C)
        batch = 256 if images and images % 256 == 0 else 1
        train = Train(images=images or 1, batch=batch, imported=sha256)
        return Science(model=model, data=data, objective=objective, train=train), notes
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the network"
        raise UserError(f"{path}: {where}: {first['msg']}") from None


def _heads(depth: int, hidden: int, path: Path) -> int:
    found = [heads for d, h, heads in SIZES.values() if (d, h) == (depth, hidden)]
    if not found:
        raise UserError(
            f"{path}: {depth} blocks of width {hidden} are no named size, and a state dict does "
            "not hold the number of "
            "heads; give it with --heads"
        )
    return found[0]


def _side(released: Mapping[str, Tensor], path: Path) -> int:
    for name in ("pos_embed", "x_embedder.proj.weight"):
        _require(released, name, path)
    table = released["pos_embed"]
    kernel = released["x_embedder.proj.weight"]
    if table.dim() != 3 or kernel.dim() != 4:
        raise UserError(
            f"{path}: pos_embed has {table.dim()} and x_embedder.proj.weight {kernel.dim()} axes, "
            "not 3, 4"
        )
    grid = math.isqrt(table.shape[1])
    if grid**2 != table.shape[1]:
        raise UserError(f"{path}: pos_embed has {table.shape[1]} tokens, which are no square")
    return grid * kernel.shape[-1]


def _positions(table: Tensor, grid: int, d: int) -> Positions:
    fixed_kinds: tuple[Positions, ...] = ("sincos-2d", "sincos-1d")
    for kind in fixed_kinds:
        if kind == "sincos-2d" and d % 4:
            continue
        fixed = fixed_positions(kind, (grid, grid), d)
        if fixed.shape == table.shape[1:] and torch.allclose(table[0].float(), fixed, atol=1e-4):
            return kind
    return "learned" if table.any() else "none"


def _require(released: Mapping[str, Tensor], name: str, path: Path) -> None:
    if name not in released:
        some = ", ".join(sorted(released)[:3])
        raise UserError(f"{path}: is no DiT checkpoint: lacks {name} (it holds {some}, …)")
