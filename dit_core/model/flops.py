"""Measured multiply-accumulates and parameters of a built network, to check the closed forms."""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dit_core.errors import DitlabError
from dit_core.model.build import build_model
from dit_core.model.conditions import Conditions
from dit_core.study.science.data import Data
from dit_core.study.science.science import Science
from dit_core.study.science.unet import UNet

# An operation that is not counted and whose name holds one of these words might be a matrix
# product.
MATRIX_WORDS = (
    "mm",
    "matmul",
    "linear",
    "conv",
    "attention",
    "einsum",
    "dot",
    "mv",
    "outer",
    "python",
    "fft",
)


class UncountedError(DitlabError):
    """A count left out operations that multiply matrices: it would be too low, so there is none."""


@dataclass(frozen=True, slots=True)
class Count:
    """What was measured for one sample."""

    macs: int
    params: int


def measure(science: Science) -> Count:
    """Return multiply-accumulates of one sample's forward pass and parameters, as fvcore counts.

    A Transformer is traced without weights, so that the largest takes seconds; a U-Net with them,
    for convolutions without weights cannot be traced. Raises UncountedError.
    """
    device = "cpu" if isinstance(science.model, UNet) else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = build_model(science)
        inputs = _inputs(science.data)
    conditions = science.data.conditions
    counted = _Flat(network, conditions) if conditions else network
    return Count(
        count_macs(counted, inputs), sum(p.numel() for p in network.parameters() if p.requires_grad)
    )


def _inputs(data: Data) -> list[torch.Tensor]:
    """Return one sample, its time, its label and its further conditions."""
    inputs = [
        torch.empty(1, data.channels, data.height, data.width),
        torch.empty(1),
        torch.zeros(1, dtype=torch.long),
    ]
    further = {
        "vector": torch.empty(1, data.vector),
        "context": torch.empty(1, data.context_tokens, data.context_width),
        "map": torch.empty(1, data.map_channels, data.map_height, data.map_width),
    }
    return inputs + [further[name] for name in data.conditions]


class _Flat(nn.Module):
    """A network whose conditions are arguments of their own: tracing takes tensors alone."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(names)

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor, *further: torch.Tensor
    ) -> torch.Tensor:
        given = dict(zip(self.names, further, strict=True))
        if "context" in given:
            given["mask"] = torch.ones_like(given["context"][..., 0], dtype=torch.bool)
        out: torch.Tensor = self.network(x, t, Conditions(label, **given))
        return out


# fvcore counts these although they multiply no matrices; the paper does not.
UNCOUNTED = (
    "aten::layer_norm",
    "aten::group_norm",
    "aten::batch_norm",
    "aten::upsample_nearest2d",
)


def count_macs(network: nn.Module, inputs: Sequence[torch.Tensor]) -> int:
    """Return the multiply-accumulates of `network(*inputs)`: linear, convolution, attention.

    Raises UncountedError naming what could not be counted, for fvcore leaves out what it does not
    know in silence: 10 % of DiT-S/2 without the handler for fused attention that is given to it
    here.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of every shape that Python compares
        from fvcore.nn import FlopCountAnalysis  # type: ignore[import-untyped]  # ships no types

        analysis = FlopCountAnalysis(network.eval(), tuple(inputs))
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        for name in UNCOUNTED:
            analysis.set_op_handle(name, _no_macs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        by_operator = analysis.by_operator()
        skipped = {name for name in analysis.unsupported_ops() if _is_matrix_like(name)}
    if skipped:
        names = ", ".join(sorted(skipped))
        raise UncountedError(
            f"the count would leave out {names}: give `count_macs` a handler for each, or write "
            "the layer with "
            "linear, matmul or scaled_dot_product_attention"
        )
    return int(sum(by_operator.values()))


def _is_matrix_like(name: str) -> bool:
    word = name.split("::")[-1].lower()
    return any(part in word for part in MATRIX_WORDS)


def _no_macs(inputs: list[Any], outputs: list[Any]) -> int:
    return 0


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Return the macs of softmax(q k^T) v for q (..., Tq, e), k (..., Tk, e), v (..., Tk, f)."""
    q, k, v = (value.type().sizes() for value in inputs[:3])
    if q is None or k is None or v is None:
        raise UncountedError("attention on tensors of unknown shape cannot be counted")
    return Counter({"attention": math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])})
