"""What a science costs, in closed form: parameters and multiply-accumulates; nothing is built.

The Transformer's forms, and what all networks share. A U-Net's are in `unet_cost.py`, memory in
`memory.py`.

Multiply-accumulates follow the paper's "Gflops" (Table 4): linear layers, attention and patch
embedding count one per multiply-add; norms, activations, softmax and element-wise products count
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import overload

from dit_core.study.catalogue.designs import design_of
from dit_core.study.price import unet_cost
from dit_core.study.price.cost_conditions import (
    condition_macs,
    condition_params,
    condition_tokens,
    patch_inputs,
    sequence_tokens,
)
from dit_core.study.price.steps import passes
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Ddpm, Science
from dit_core.study.science.unet import UNet

FLOPS_PER_MAC = 2
TRAINING_PASSES = 3  # forward, and a backward pass of twice its cost


def out_channels(science: Science) -> int:
    """Return the channels the network returns: 2C with a learned covariance, else C."""
    learns = isinstance(science.objective, Ddpm) and science.objective.learn_sigma
    return science.data.channels * (2 if learns else 1)


def mlp_width(science: Science) -> int:
    """Return the width of the feed-forward layer."""
    return round(science.dit.hidden * science.dit.mlp_ratio)


def params(science: Science) -> int:
    """Return the number of trained parameters (a fixed position table is none)."""
    if isinstance(science.model, UNet):
        return unet_cost.params(science.model, science.data, out_channels(science))
    return entry_params(science) + science.dit.depth * block_params(science) + exit_params(science)


def entry_params(science: Science) -> int:
    """Return the parameters before the first block: embeddings of tokens, time and conditions."""
    m = science.dit
    d = m.hidden
    total = sum(n * d + d for n in science.token_sizes or (patch_inputs(science),))
    if m.map_entry == "concat":
        total += science.data.map_channels  # the map's null
    if m.positions == "learned":
        total += science.tokens * d
    return total + condition_params(science)


def exit_params(science: Science) -> int:
    """Return the parameters after the last block: final norm or modulation, and final layer."""
    d = science.dit.hidden
    total = sum(
        (d + 1) * n * out_channels(science)
        for n in science.token_sizes or (math.prod(science.patch_shape),)
    )
    return total + (2 * (d * d + d) if modulations(science) else 2 * d)


def block_params(science: Science) -> int:
    """Return the parameters of one block, its modulations included."""
    m = science.dit
    d = science.dit.hidden
    w = mlp_width(science)
    attention = 4 * d * d + 4 * d
    norms = 2
    branches = 2
    total = attention + 2 * d * w + w + d
    total += modulations(science) * (d * d + d)
    if attended_tokens(science):
        total += attention
        norms = 3
        branches = 3
    if not modulations(science):  # norms have weights of their own
        total += norms * 2 * d
    if m.qk_norm:
        total += (branches - 1) * 2 * (d // m.heads)
    return total + (branches * d if m.layer_scale is not None else 0)


def fwd_macs(science: Science) -> int:
    """Return the multiply-accumulates of one forward pass of one sample."""
    if isinstance(science.model, UNet):
        return unet_cost.fwd_macs(science.model, science.data, out_channels(science))
    return entry_macs(science) + science.dit.depth * block_macs(science) + exit_macs(science)


def entry_macs(science: Science) -> int:
    """Return the multiply-accumulates before the first block."""
    d = science.dit.hidden
    tokens = science.data.width if science.token_sizes else science.tokens * patch_inputs(science)
    return tokens * d + condition_macs(science)


def exit_macs(science: Science) -> int:
    """Return the multiply-accumulates after the last block."""
    data = science.data
    d = science.dit.hidden
    total = data.height * data.width * d * out_channels(science)
    return total + (2 * d * d if modulations(science) else 0)


def block_macs(science: Science) -> int:
    """Return the multiply-accumulates of one block, its modulations included."""
    d = science.dit.hidden
    w = mlp_width(science)
    T = block_tokens(science)
    total = T * (4 * d * d + 2 * d * w) + 2 * T * T * d
    total += modulations(science) * d * d
    if S := attended_tokens(science):
        total += 2 * d * d * (T + S) + 2 * T * S * d
    return total


def modulations(science: Science) -> int:
    """Return the number of vectors that are regressed for each block; 0 where norms are plain."""
    return len(design_of(science.dit.conditioning).modulations)


def block_tokens(science: Science) -> int:
    """Return the length of the sequence that passes through the blocks."""
    joins = design_of(science.dit.conditioning).joins_tokens
    return science.tokens + (condition_tokens(science) if joins else 0)


def attended_tokens(science: Science) -> int:
    """Return the length of the sequence that a block's cross-attention reads; 0 without one."""
    attends = design_of(science.dit.conditioning).attends
    return (condition_tokens(science) if attends else 0) + sequence_tokens(science)


@overload
def train_flops_of(macs: int, images: int) -> int: ...
@overload
def train_flops_of(macs: float, images: float) -> float: ...
def train_flops_of(macs: float, images: float) -> float:
    """Return the FLOPs of training a network of `macs` per forward pass on `images` samples.

    A multiply-accumulate is two operations. A backward pass costs twice its forward pass, since it
    computes the gradients of both inputs and weights (figure 9 of the paper: "x 3"). Given images
    per second, the result is FLOPs per second.
    """
    return FLOPS_PER_MAC * TRAINING_PASSES * macs * images


def train_flops(science: Science) -> int:
    """Return the FLOPs of the whole training."""
    return train_flops_of(fwd_macs(science), science.train.images)


def sampling_macs(science: Science, evaluation: Evaluation) -> int:
    """Return the multiply-accumulates of sampling for an evaluation."""
    return fwd_macs(science) * forwards(science, evaluation)


def forwards(science: Science, evaluation: Evaluation) -> int:
    """Return the single-sample forward passes of an evaluation, over all its samples."""
    per_sample = passes(science.objective, evaluation.sampling, science.data.channels)
    return per_sample * evaluation.samples


class Prices:
    """The same costs for many runs: each network that runs of a grid share is priced once.

    Sections are recognised by `id()`; this object keeps them alive so that no id is used twice.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], tuple[int, Science]] = {}

    def run_flops(
        self, science: Science, evaluations: Iterable[Evaluation]
    ) -> tuple[int, list[int]]:
        """Return the FLOPs of the training and of the sampling of each evaluation."""
        key = id(science.model), id(science.data), id(science.objective)
        if key not in self._known:
            self._known[key] = fwd_macs(science), science
        macs = self._known[key][0]
        return train_flops_of(macs, science.train.images), [
            FLOPS_PER_MAC * macs * forwards(science, one) for one in evaluations
        ]
