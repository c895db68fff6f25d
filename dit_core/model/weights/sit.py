"""SiT (Ma et al. 2024): the published network, trained on a flow whose time runs the other way.

SiT's time t is 0 at noise and 1 at data, its velocity points to the data, and its network embeds t
itself. Ours is 1 at noise, points to the noise, and embeds 1000 t. With s our time:
v_ours(x, s) = -v_sit(x, 1 - s).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from dit_core.errors import UserError
from dit_core.model.embeddings import WAVES
from dit_core.model.weights.network import require
from dit_core.model.weights.released import KERNEL, Tensors

WAVES_IN = "t_embedder.mlp.0.weight"
LAST = ("final_layer.linear.weight", "final_layer.linear.bias")
TRAINED = {"path_type": "Linear", "prediction": "velocity"}
"""Options of SiT's training under which its network is a rectified flow's."""


def require_rectified_flow(loaded: Any, source: str) -> None:
    """Raise UserError where a checkpoint's arguments name another path or prediction."""
    stored = loaded.get("args") if isinstance(loaded, Mapping) else None
    for name, wanted in TRAINED.items():
        given = getattr(stored, name, wanted)
        if given != wanted:
            raise UserError(
                f"{source}: was trained with {name} {given!r}; only SiT's {wanted!r} is a "
                "rectified flow, which can be imported"
            )


def flow_of_sit(released: Tensors, source: str) -> Tensors:
    """Return weights that compute minus SiT's velocity at time 1 - s, with frequencies "sit".

    Exact but for rounding: the last layer changes its sign and leaves out the channels that SiT
    throws away, and the first layer of the time embedding takes waves of s in place of waves of
    1 - s. With frequency f, cos f(1 - s) = cos f cos fs + sin f sin fs, and
    sin f(1 - s) = sin f cos fs - cos f sin fs.
    """
    for name in (WAVES_IN, *LAST):
        require(released, name, source)
    out = released | {name: -_velocity_rows(released, name) for name in LAST}
    waves = released[WAVES_IN]
    half = WAVES // 2
    f = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half).double()
    cos_in, sin_in = waves.double().chunk(2, dim=1)
    cos_out = cos_in * f.cos() + sin_in * f.sin()
    sin_out = cos_in * f.sin() - sin_in * f.cos()
    out[WAVES_IN] = torch.cat([cos_out, sin_out], dim=1).to(waves.dtype)
    return out


def _velocity_rows(released: Tensors, name: str) -> torch.Tensor:
    """Return the rows of the last layer that are velocities: its channels are the innermost axis.

    A SiT with `learn_sigma` returns twice the channels and uses the first half.
    """
    rows = released[name]
    C, p = released[KERNEL].shape[1:3]
    if len(rows) != 2 * C * p**2:
        return rows
    return rows.reshape(p**2, 2 * C, -1)[:, :C].reshape(p**2 * C, *rows.shape[1:])
