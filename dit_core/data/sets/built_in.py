"""The data sets that ship with scikit-learn: digits, with conditions if wanted, two tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch

from dit_core.data.check import check, check_hash
from dit_core.data.memory import ArrayDataset
from dit_core.data.sets.conditioned import ConditionedDataset, conditioned
from dit_core.data.sets.digits import digits
from dit_core.data.sets.measures import MEASURES, measures
from dit_core.data.sets.spatial import coarse, half_hidden
from dit_core.data.sets.tables import module_indices, table
from dit_core.errors import DataError
from dit_core.study.catalogue.data_sets import DATA_SETS
from dit_core.study.science.data import Data

# What makes a map condition of digits x (B, 1, 8, 8), by the name in a data set's row.
MAPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "half-hidden": half_hidden,
    "coarse": coarse,
}


def built_in(cfg: Data) -> ArrayDataset | ConditionedDataset:
    """Return a built-in data set; raise DataError where it is not what `cfg` says."""
    if cfg.kind == "table":
        return _table(cfg)
    x, y = digits()
    check_hash(cfg, "the built-in digits", lambda: built_in_sha256(cfg))
    if cfg.name == "digits":
        check(cfg, "the built-in digits", tuple(x.shape[1:]), len(y), 10)
        return ArrayDataset(x, y, cfg.flip)
    map_ = MAPS.get(DATA_SETS[cfg.name].map)
    found = conditioned(
        x,
        y,
        cfg.held_out,
        vector=measures(x).numpy() if cfg.vector else None,
        names=MEASURES,
        map_=map_(x) if map_ else None,
    )
    check(cfg, f"the built-in {cfg.name}", tuple(x.shape[1:]), len(found), 10)
    return found


def built_in_sha256(cfg: Data) -> str:
    """Return the hash of a built-in set's samples and labels, as scikit-learn has them here."""
    if cfg.kind == "table":
        found = table(cfg.name)
        return hashlib.sha256(found.x.tobytes() + found.labels.tobytes()).hexdigest()
    x, y = digits()
    return hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()


def _table(cfg: Data) -> ConditionedDataset:
    """Return a table's rows as vectors, features in the order of their modules if it has any."""
    found = table(cfg.name)
    groups = module_indices(found.modules, found.features) if found.modules else {}
    sizes = " ".join(str(len(group)) for group in groups.values())
    if cfg.modules != sizes:
        raise DataError(
            f"data.modules is {cfg.modules!r}, but the modules of {cfg.name!r} are {sizes!r}"
        )
    order = [index for group in groups.values() for index in group] or [*range(len(found.features))]
    x = torch.from_numpy(found.x[:, order])[:, None, None]
    data = conditioned(x, torch.from_numpy(found.labels), cfg.held_out)
    where = f"the built-in {cfg.name}"
    check(cfg, where, tuple(x.shape[1:]), len(data), len(found.classes))
    check_hash(cfg, where, lambda: built_in_sha256(cfg))
    return data
