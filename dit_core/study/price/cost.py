"""What a science costs, in closed form: parameters, multiply-accumulates, memory.

No network is built.

Here are the Transformer's forms and what all networks share; a U-Net's own are in `unet_cost.py`.

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
    FREQUENCIES,
    condition_macs,
    condition_params,
    condition_tokens,
    patch_inputs,
    sequence_tokens,
)
from dit_core.study.price.steps import passes
from dit_core.study.science.execution import Execution
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
    """Return the parameters of all that comes before the first block: embeddings of tokens, time
    and conditions.
    """
    m = science.dit
    data = science.data
    d = science.dit.hidden
    total = sum(n * d + d for n in science.token_sizes or (patch_inputs(science),))
    total += data.map_channels if m.map_entry == "concat" else 0  # the map's null
    return (
        total + condition_params(science) + (science.tokens * d if m.positions == "learned" else 0)
    )


def exit_params(science: Science) -> int:
    """Return the parameters of all that comes after the last block: final norm or modulation, final
    layer.
    """
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
        total = total + attention
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
    """Return the multiply-accumulates of all that comes before the first block."""
    d = science.dit.hidden
    tokens = science.data.width if science.token_sizes else science.tokens * patch_inputs(science)
    return tokens * d + condition_macs(science)


def exit_macs(science: Science) -> int:
    """Return the multiply-accumulates of all that comes after the last block."""
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
    """Return the multiply-accumulates of all samples of an evaluation; a guided step costs two
    passes.
    """
    return fwd_macs(science) * forwards(science, evaluation)


def forwards(science: Science, evaluation: Evaluation) -> int:
    """Return how often an evaluation sends one sample through the network, over all samples."""
    return (
        passes(science.objective, evaluation.sampling, science.data.channels) * evaluation.samples
    )


class Prices:
    """The same costs for many runs that share sections, as those of a grid do: each network is
    priced once.

    Sections are told apart by `id()`; the object keeps them alive so that no id is used twice.
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


def activation_bytes(science: Science, micro_batch: int, grad_checkpoint: bool) -> int:
    """Return the bytes that one training step keeps for its backward pass, for `micro_batch`
    images.

    Attention is the fused one, which keeps no T x T matrix. With `grad_checkpoint` a block keeps
    its input alone, and one block at a time is computed again.
    """
    narrow = (
        2 if science.train.precision == "bf16" else 4
    )  # bytes of what a linear layer takes and gives
    if isinstance(science.model, UNet):
        return micro_batch * unet_cost.activation_bytes(
            science.model, science.data, narrow, grad_checkpoint
        )
    m = science.dit
    data = science.data
    d = science.dit.hidden
    T = science.tokens
    block = block_tokens(science) * _block_token_bytes(science, narrow)
    block += attended_tokens(science) * 2 * d * narrow
    blocks = (
        (m.depth * block_tokens(science) * d * 4 + block) if grad_checkpoint else m.depth * block
    )
    ends = T * (
        patch_inputs(science) * narrow + d * narrow + d * 4 + (d * 4 if modulations(science) else 0)
    )
    # Condition: waves, time MLP (twice its width), its SiLU, sequences, modulations. Loss: a dozen
    # maps of the input.
    condition = 4 * (FREQUENCIES + (4 + sequence_tokens(science)) * d)
    if modulations(science):
        condition += 4 * (m.depth * modulations(science) + 2) * d
    loss = 4 * 12 * data.channels * data.height * data.width
    return micro_batch * (blocks + ends + condition + loss)


def _block_token_bytes(science: Science, narrow: int) -> int:
    """Return the bytes per token that one block keeps: float32 around the norms, `narrow` around
    the linear layers.
    """
    m = science.dit
    d = science.dit.hidden
    w = mlp_width(science)
    branches = 3 if attended_tokens(science) else 2
    design = design_of(m.conditioning)
    wide = (
        4 * branches * (d * (2 if design.modulations else 1) + 2)
    )  # residual stream, its normalised copy, mean and deviation
    linear = (
        branches * d + (3 * d + d) + 2 * w
    )  # inputs of the branches, q k v, attention's result, hidden layer
    if branches == 3:
        linear += 2 * d
    if m.qk_norm:
        linear += (3 if branches == 2 else 5) * d  # queries and keys before and after their norm
    linear += (
        branches * d * (int(design.gated) + int(m.layer_scale is not None))
    )  # results of the branches
    return wide + narrow * linear + 4 * m.heads * (branches - 1)


def memory_bytes(science: Science, execution: Execution) -> int:
    """Return the bytes one training process needs: weights, gradients, two moments, EMA,
    activations.

    Leaves out what the framework itself and its workspaces take (0.3 to 1 GB).
    """
    share = -(-science.train.batch // execution.processes)
    micro_batch = min(execution.micro_batch or share, share)
    per_param = 5 * 4 + (
        2 if science.train.precision == "bf16" else 0
    )  # bf16: the cast copy of the weights
    return params(science) * per_param + activation_bytes(
        science, micro_batch, execution.grad_checkpoint
    )
