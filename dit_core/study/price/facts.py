"""What tables say of a run's science, whatever the network; None where it has no such thing."""

from __future__ import annotations

from typing import Any

from dit_core.study.price import cost
from dit_core.study.science.science import Model, Science


def network_facts(science: Science) -> dict[str, Any]:
    """Return family, size's name, patch, conditioning design and tokens.

    A U-Net has none of the last three.
    """
    model = science.model
    if isinstance(model, Model):
        return {
            "model_family": model.family,
            "model_size": model.size,
            "patch": model.patch,
            "conditioning": model.conditioning,
            "tokens": science.tokens,
        }
    return {
        "model_family": model.family,
        "model_size": model.size,
        "patch": None,
        "conditioning": None,
        "tokens": None,
    }


def cost_facts(science: Science) -> dict[str, Any]:
    """Return trained parameters, forward Gmacs of one sample and FLOPs of the whole training."""
    return {
        "params": cost.params(science),
        "fwd_gmacs": cost.fwd_macs(science) / 1e9,
        "train_flops": float(cost.train_flops(science)),
    }
