"""A user's own samples and conditions as named arrays, in an .npz or a folder of .npy files.

array          shape                      what
images         (n, H, W) or (n, H, W, C)  samples, uint8 or float32 in [-1, 1]; or else
vectors        (n, k)                     samples, floats in any units: each feature is standardised
labels         (n,)                       classes
vector         (n, m)                     continuous condition, in any units, standardised
context        (n, M, D)                  context condition, embeddings made beforehand
context_mask   (n, M)                     which of its tokens are there; absent, all are
map            (n, h, w) or (n, h, w, C') spatial condition, float or uint8 (then scaled to [-1, 1])
features       (k,)                       names of the vectors' features, and
modules        (k, 2)                     rows (module, feature): groups that may be tokens
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dit_core.data.check import check
from dit_core.data.readers.npz import class_labels, images_of, open_arrays
from dit_core.data.sets.conditioned import ConditionedDataset, conditioned
from dit_core.data.sets.tables import module_indices, standardise
from dit_core.errors import DataError
from dit_core.study.science.data import Data


def read_conditioned(cfg: Data, root: Path) -> ConditionedDataset:
    """Return the data set at `root`; raise DataError naming array and row of a fault."""
    sample = "vectors" if cfg.vectors else "images"
    further = {"vector": cfg.vector, "context": cfg.context_tokens, "map": cfg.map_channels}
    wanted = (sample, "labels", *(name for name, size in further.items() if size))
    found = open_arrays(root, wanted, ("context_mask", "features", "modules"))
    for name in wanted:
        if len(found[name]) != len(found["labels"]):
            raise DataError(
                f"{root}: {name} has {len(found[name])} rows, labels {len(found['labels'])}"
            )
    x = (
        _vectors(cfg, root, found)
        if cfg.vectors
        else torch.from_numpy(images_of(root, found[sample]))
    )
    labels = torch.from_numpy(class_labels(root, found["labels"], len(x), cfg.classes))
    vector = found.get("vector") if cfg.vector else None
    if vector is not None:
        _shape(root, "vector", vector, (cfg.vector,))
    data = conditioned(
        x,
        labels,
        cfg.held_out,
        vector=None if vector is None else np.asarray(vector, dtype=np.float64),
        names=tuple(f"vector[:, {i}]" for i in range(cfg.vector)),
        context=_context(cfg, root, found["context"]) if cfg.context_tokens else None,
        mask=_mask(cfg, root, found) if cfg.context_tokens else None,
        map_=_map(cfg, root, found["map"]) if cfg.map_channels else None,
    )
    check(cfg, str(root), tuple(x.shape[1:]), len(data), cfg.classes)
    return data


def _vectors(cfg: Data, root: Path, found: dict[str, np.ndarray]) -> Tensor:
    """Return standardised vectors (n, 1, 1, k) float32, features in their modules' order."""
    values = found["vectors"]
    _shape(root, "vectors", values, (cfg.width,))
    names = [
        str(name)
        for name in found.get("features", np.array([f"vectors[:, {i}]" for i in range(cfg.width)]))
    ]
    try:
        x, _, _ = standardise(values, names)
        order = _order(cfg, found, names)
    except DataError as error:
        raise DataError(f"{root}: {error}") from error
    return torch.from_numpy(x[:, order])[:, None, None]


def _order(cfg: Data, found: dict[str, np.ndarray], names: list[str]) -> list[int]:
    if not cfg.modules or "modules" not in found:
        return list(range(cfg.width))  # groups, if any, of neighbours
    pairs = found["modules"]
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise DataError(
            f"modules has shape {pairs.shape}; wanted is (features, 2), rows of (module, feature)"
        )
    members: dict[str, list[str]] = {}
    for module, feature in pairs:
        members.setdefault(str(module), []).append(str(feature))
    groups = module_indices(members, names)
    sizes = " ".join(str(len(group)) for group in groups.values())
    if sizes != cfg.modules:
        raise DataError(
            f"data.modules is {cfg.modules!r}, but the table of modules has groups of {sizes!r}"
        )
    return [int(index) for group in groups.values() for index in group]


def _context(cfg: Data, root: Path, values: np.ndarray) -> Tensor:
    _shape(root, "context", values, (cfg.context_tokens, cfg.context_width))
    _finite(root, "context", values)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _mask(cfg: Data, root: Path, found: dict[str, np.ndarray]) -> Tensor:
    values = found.get("context_mask")
    if values is None:
        return torch.ones(len(found["context"]), cfg.context_tokens, dtype=torch.bool)
    _shape(root, "context_mask", values, (cfg.context_tokens,))
    if values.dtype != np.bool_:
        raise DataError(
            f"{root}: context_mask is {values.dtype}; wanted is bool, True where a token is there"
        )
    return torch.from_numpy(np.asarray(values))


def _map(cfg: Data, root: Path, values: np.ndarray) -> Tensor:
    values = values[..., None] if values.ndim == 3 else values
    _shape(root, "map", values, (cfg.map_height, cfg.map_width, cfg.map_channels))
    _finite(root, "map", values)
    scaled = (
        values.astype(np.float32) / 127.5 - 1
        if values.dtype == np.uint8
        else values.astype(np.float32)
    )
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def _shape(root: Path, name: str, values: np.ndarray, wanted: tuple[int, ...]) -> None:
    if values.shape[1:] != wanted:
        raise DataError(
            f"{root}: {name} has shape {values.shape}; the study says (n, "
            f"{', '.join(map(str, wanted))})"
        )
    if values.dtype.kind not in "fiub":
        raise DataError(f"{root}: {name} is {values.dtype}; wanted are numbers")


def _finite(root: Path, name: str, values: np.ndarray) -> None:
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        raise DataError(
            f"{root}: {name}[{bad.argmax()}] holds NaN or infinity ({bad.sum()} of {len(values)} "
            "do)"
        )
