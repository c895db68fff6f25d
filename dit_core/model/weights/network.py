"""The science of a network of others: what its tensors say, and what was said about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from dit_core.errors import UserError
from dit_core.model.embeddings import fixed_positions
from dit_core.model.weights.described import Described, Found
from dit_core.model.weights.released import KERNEL, LABELS, block_count
from dit_core.study.catalogue.data_sets import classes_of, images_of
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

NEEDED = (LABELS, "final_layer.linear.bias", "blocks.0.mlp.fc1.bias")


def science_of(found: Found, described: Described) -> tuple[Science, tuple[str, ...]]:
    """Return the science of a network and what its user should know about it.

    Raises UserError where its tensors or what was said about it are no DiT's.
    """
    for name in NEEDED:
        require(found.released, name, found.source)
    objective = _objective(found, described)
    classes = _classes(found, described)
    notes = found.notes
    if described.images_seen is None:
        notes += ("images seen are not known and filed as 1; --images-seen gives them",)
    try:
        science = Science(
            # Words of the command line are among these; pydantic checks them.
            model=Model.model_validate(_model(found, described)),
            data=Data.model_validate(_data(found, described, classes)),
            objective=objective,
            train=Train.model_validate(_train(found, described.images_seen, classes)),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the network"
        raise UserError(f"{found.source}: {where}: {first['msg']}") from None
    return science, notes


def _model(found: Found, described: Described) -> dict[str, Any]:
    d, _, p, _ = found.released[KERNEL].shape
    depth = block_count(found.released, "blocks")
    frequencies = "sit" if described.flow == "sit" else described.frequencies or found.frequencies
    return {
        "depth": depth,
        "hidden": d,
        "heads": described.heads or found.heads or _heads(depth, d, found.source),
        "patch": p,
        "mlp_ratio": len(found.released["blocks.0.mlp.fc1.bias"]) / d,
        "positions": _positions(found.released["pos_embed"], found.side // p, d),
        "time_frequencies": frequencies,
    }


def _objective(found: Found, described: Described) -> Ddpm | Flow:
    _, C, p, _ = found.released[KERNEL].shape
    out = len(found.released["final_layer.linear.bias"]) / p**2
    if out not in (C, 2 * C):
        raise UserError(
            f"{found.source}: returns {out:g} channels for {C}; a DiT returns {C} or {2 * C}"
        )
    if not described.flow:
        return Ddpm(learn_sigma=out == 2 * C)
    if out != C:
        raise UserError(
            f"{found.source}: returns {out:g} channels for {C}; a flow returns {C}; of a SiT, "
            "which may return both, say --flow sit"
        )
    return Flow()


def _data(found: Found, described: Described, classes: int) -> dict[str, Any]:
    return {
        "name": described.data,
        "kind": described.kind,
        "channels": found.released[KERNEL].shape[1],
        "height": found.side,
        "width": found.side,
        "classes": classes,
        "images": images_of(described.data) or 1,
    }


def _train(found: Found, images: int | None, classes: int) -> dict[str, Any]:
    """Return the section `train`; without a row for the null class no label was ever dropped."""
    has_null = len(found.released[LABELS]) > classes
    usual = Train.model_fields["label_dropout"].default
    return {
        "images": images or 1,
        "batch": 256 if images and images % 256 == 0 else 1,
        "imported": found.sha256,
        "label_dropout": usual if has_null else 0.0,
    }


def _classes(found: Found, described: Described) -> int:
    """Return the number of classes; raise UserError where it is unknown or contradicted."""
    rows = len(found.released[LABELS])
    classes = described.classes or found.classes or classes_of(described.data)
    if classes is None:
        raise UserError(
            f"{found.source}: its label table has {rows} rows, which are {rows - 1} classes and "
            f"the null class, or {rows} classes; give their number with --classes"
        )
    if rows - classes not in (0, 1):
        raise UserError(
            f"{found.source}: its label table has {rows} rows, data {described.data!r} have "
            f"{classes} classes ({classes + 1} rows with the null class); give the number with "
            "--classes, or other data with --data"
        )
    return classes


def _heads(depth: int, hidden: int, source: str) -> int:
    found = [heads for d, h, heads in SIZES.values() if (d, h) == (depth, hidden)]
    if not found:
        raise UserError(
            f"{source}: {depth} blocks of width {hidden} are no named size, and a state dict does "
            "not hold the number of heads; give it with --heads"
        )
    return found[0]


def side_of(released: Mapping[str, Tensor], source: str) -> int:
    """Return height and width of a sample; raise UserError where the tokens are no square."""
    for name in ("pos_embed", KERNEL):
        require(released, name, source)
    table = released["pos_embed"]
    kernel = released[KERNEL]
    if table.dim() != 3 or kernel.dim() != 4:
        raise UserError(
            f"{source}: pos_embed has {table.dim()} and {KERNEL} {kernel.dim()} axes, not 3, 4"
        )
    grid = math.isqrt(table.shape[1])
    if grid**2 != table.shape[1]:
        raise UserError(f"{source}: pos_embed has {table.shape[1]} tokens, which are no square")
    return int(grid * kernel.shape[-1])


def _positions(table: Tensor, grid: int, d: int) -> Positions:
    fixed_kinds: tuple[Positions, ...] = ("sincos-2d", "sincos-1d")
    for kind in fixed_kinds:
        if kind == "sincos-2d" and d % 4:
            continue
        fixed = fixed_positions(kind, (grid, grid), d)
        if fixed.shape == table.shape[1:] and torch.allclose(table[0].float(), fixed, atol=1e-4):
            return kind
    return "learned" if table.any() else "none"


def require(released: Mapping[str, Tensor], name: str, source: str) -> None:
    """Raise UserError where a tensor is missing."""
    if name not in released:
        some = ", ".join(sorted(released)[:3])
        raise UserError(f"{source}: is no DiT checkpoint: lacks {name} (it holds {some}, …)")
