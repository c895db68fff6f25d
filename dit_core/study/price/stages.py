"""A Transformer cut into pipeline stages: blocks, cost and traffic of each.

Stages are contiguous and hold at least one block. All that comes before the blocks (embeddings of
tokens, time and conditions) is the first stage's, final norm and layer are the last one's, and a
block's modulations go with the block.
"""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import UserError
from dit_core.study.price import cost
from dit_core.study.science.science import Science


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: blocks `first` to `last`, and what one sample costs and sends.

    Blocks count from 0, both included. `macs` of one forward pass; `sent_bytes` of the tokens it
    hands to the next stage, 0 for the last; `condition` is what its blocks need besides tokens,
    made by the first stage, in floats: one vector, and a sequence of vectors.
    """

    number: int
    first: int
    last: int
    macs: int
    params: int
    sent_bytes: int
    condition_vector: int
    condition_sequence: int
    condition_bytes: int

    @property
    def blocks(self) -> int:
        """Return the number of blocks."""
        return self.last - self.first + 1


def stages_of(science: Science, count: int) -> tuple[Stage, ...]:
    """Return the `count` stages of a Transformer, balanced by multiply-accumulates.

    Their sums are the whole model's. Tokens and conditions are sent in the precision of training,
    as 2 bytes (bf16) or 4. Raises UserError for fewer than one stage or more stages than blocks.
    """
    m = science.dit
    d = science.dit.hidden
    if not 1 <= count <= m.depth:
        raise UserError(
            f"--stages {count}: a model of {m.depth} blocks has 1 to {m.depth} stages, each of a "
            "block at least"
        )
    element = 2 if science.train.precision == "bf16" else 4
    vector = d if cost.modulations(science) else 0
    sequence = cost.attended_tokens(science) * d
    tokens = cost.block_tokens(science) * d * element
    stages: list[Stage] = []
    first = 0
    for i, blocks in enumerate(balanced(science, count)):
        is_first = i == 0
        is_last = i == count - 1
        macs = blocks * cost.block_macs(science)
        params = blocks * cost.block_params(science)
        macs += (cost.entry_macs(science) if is_first else 0) + (
            cost.exit_macs(science) if is_last else 0
        )
        params += (cost.entry_params(science) if is_first else 0) + (
            cost.exit_params(science) if is_last else 0
        )
        sent = 0 if is_last else tokens
        floats = (vector, sequence, (vector + sequence) * element)
        stages.append(Stage(i + 1, first, first + blocks - 1, macs, params, sent, *floats))
        first += blocks
    return tuple(stages)


def balanced(science: Science, count: int) -> list[int]:
    """Return the blocks of each of `count` stages, such that the costliest costs least.

    Every block costs the same, so each next block goes to the stage that costs least so far.
    """
    blocks = [1] * count
    loads = [cost.block_macs(science)] * count
    loads[0] += cost.entry_macs(science)
    loads[-1] += cost.exit_macs(science)
    for _ in range(science.dit.depth - count):
        i = loads.index(min(loads))
        blocks[i] += 1
        loads[i] += cost.block_macs(science)
    return blocks
