"""The memory of one training step, in closed form: weights, optimiser state and activations."""

from __future__ import annotations

from dit_core.study.catalogue.designs import design_of
from dit_core.study.price import unet_cost
from dit_core.study.price.cost import (
    attended_tokens,
    block_tokens,
    mlp_width,
    modulations,
    params,
)
from dit_core.study.price.cost_conditions import FREQUENCIES, patch_inputs, sequence_tokens
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science
from dit_core.study.science.unet import UNet

FLOAT32 = 4  # bytes
BF16 = 2
# Weights, gradients, two moments of AdamW and the EMA, all float32.
COPIES = 5
# Maps of the size of the input that the loss keeps: input, noise, noised input, prediction, …
LOSS_MAPS = 12


def memory_bytes(science: Science, execution: Execution) -> int:
    """Return the bytes that one training process needs.

    Leaves out what the framework itself and its workspaces take (0.3 to 1 GB).
    """
    share = -(-science.train.batch // execution.processes)
    micro_batch = min(execution.micro_batch or share, share)
    per_param = COPIES * FLOAT32
    if science.train.precision == "bf16":
        per_param += BF16  # the cast copy of the weights
    activations = activation_bytes(science, micro_batch, execution.grad_checkpoint)
    return params(science) * per_param + activations


def activation_bytes(science: Science, micro_batch: int, grad_checkpoint: bool) -> int:
    """Return the bytes kept for the backward pass of one step of `micro_batch` images.

    Attention is the fused one, which keeps no T x T matrix. With `grad_checkpoint` a block keeps
    its input alone, and one block at a time is computed again.
    """
    narrow = _narrow(science)
    if isinstance(science.model, UNet):
        per_image = unet_cost.activation_bytes(science.model, science.data, narrow, grad_checkpoint)
        return micro_batch * per_image
    d = science.dit.hidden
    depth = science.dit.depth
    tokens = block_tokens(science)
    block = tokens * _block_token_bytes(science) + attended_tokens(science) * 2 * d * narrow
    blocks = depth * tokens * d * FLOAT32 + block if grad_checkpoint else depth * block
    data = science.data
    loss = FLOAT32 * LOSS_MAPS * data.channels * data.height * data.width
    return micro_batch * (blocks + _end_bytes(science) + _condition_bytes(science) + loss)


def _narrow(science: Science) -> int:
    """Return the bytes of an element that a linear layer reads or writes."""
    return BF16 if science.train.precision == "bf16" else FLOAT32


def _end_bytes(science: Science) -> int:
    """Return the bytes kept before the first and after the last block, without the conditions."""
    d = science.dit.hidden
    narrow = _narrow(science)
    per_token = patch_inputs(science) * narrow + d * narrow + d * FLOAT32
    if modulations(science):
        per_token += d * FLOAT32  # the normalised copy that is modulated
    return science.tokens * per_token


def _condition_bytes(science: Science) -> int:
    """Return the bytes kept of the conditions: waves, time MLP, its SiLU, sequences, modulations.

    The time MLP keeps twice its width.
    """
    d = science.dit.hidden
    floats = FREQUENCIES + (4 + sequence_tokens(science)) * d
    if modulations(science):
        floats += (science.dit.depth * modulations(science) + 2) * d
    return FLOAT32 * floats


def _block_token_bytes(science: Science) -> int:
    """Return the bytes per token that one block keeps: float32 around the norms, else `narrow`."""
    m = science.dit
    d = m.hidden
    design = design_of(m.conditioning)
    branches = 3 if attended_tokens(science) else 2
    copies = 2 if design.modulations else 1  # of the residual stream, the normalised one included
    wide = FLOAT32 * branches * (copies * d + 2)  # and each token's mean and deviation
    # Inputs of the branches; q, k, v and attention's result; the hidden layer before and after GELU
    linear = branches * d + (3 * d + d) + 2 * mlp_width(science)
    if branches == 3:
        linear += 2 * d
    if m.qk_norm:
        linear += (3 if branches == 2 else 5) * d  # queries and keys before and after their norm
    scaled = int(design.gated) + int(m.layer_scale is not None)
    linear += branches * d * scaled  # results of the branches, kept where they are multiplied
    statistics = FLOAT32 * m.heads * (branches - 1)  # of the softmax
    return wide + _narrow(science) * linear + statistics
