"""What conditions add to the cost of a network: embeddings, tokens, inputs of a patch."""

from __future__ import annotations

import math

from dit_core.study.science.science import Science

FREQUENCIES = 256  # of the time embedding


def condition_tokens(science: Science) -> int:
    """Return the number of conditions that are one vector each: time, label, vector."""
    return 2 + (1 if science.data.vector else 0)


def sequence_tokens(science: Science) -> int:
    """Return how many context tokens and map patches every block attends to; 0 is none."""
    data = science.data
    lengths = {
        "context": data.context_tokens,
        "map": data.map_height * data.map_width // science.dit.patch**2,
    }
    return sum(lengths[name] for name in science.sequences)


def sequence_widths(science: Science) -> list[int]:
    """Return what the embedding of each sequence reads per token.

    A token is a context token or a patch of the map.
    """
    widths = {
        "context": science.data.context_width,
        "map": science.data.map_channels * science.dit.patch**2,
    }
    return [widths[name] for name in science.sequences]


def patch_inputs(science: Science) -> int:
    """Return the numbers that the embedding of one patch reads, a concatenated map included."""
    joined = science.data.map_channels if science.dit.map_entry == "concat" else 0
    return math.prod(science.patch_shape) * (science.data.channels + joined)


def condition_params(science: Science) -> int:
    """Return the parameters of the embeddings of time and conditions, nulls included."""
    data = science.data
    d = science.dit.hidden
    total = FREQUENCIES * d + d + d * d + d  # time
    total += (data.classes + 1) * d  # labels and the null class
    total += data.vector * d + d + d * d + d + d if data.vector else 0
    return total + sum(width * d + d + d for width in sequence_widths(science))


def condition_macs(science: Science) -> int:
    """Return the multiply-accumulates of the embeddings of time and conditions.

    A label is looked up, which costs none.
    """
    data = science.data
    d = science.dit.hidden
    total = FREQUENCIES * d + d * d
    total += data.vector * d + d * d if data.vector else 0
    total += data.context_tokens * data.context_width * d if "context" in science.sequences else 0
    total += (
        data.map_height * data.map_width * data.map_channels * d
        if "map" in science.sequences
        else 0
    )
    return total
