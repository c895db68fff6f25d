"""Where the time of a training step goes."""

from __future__ import annotations

import statistics
from typing import Any

from dit_core.bench.lane import Lane
from dit_core.bench.ours import PHASES
from dit_core.bench.subject import Subject

_BLOCK_S = 0.5
# What is neither data, network nor optimiser. Checkpoints are extra: one every five minutes by
# default.
BOOKKEEPING = ("ema", "log", "save")


def phases_of(lane: Lane, subject: Subject, blocks: int) -> dict[str, Any]:
    """Return images/s and memory of the plain loop, and the seconds of each phase of a step.

    Each is the median of blocks. `lane` is ours, warm, and measures steps.
    """
    steps = steps_of_a_block(lane.block(2)["s"])
    plain = [lane.block(steps) for _ in range(blocks)]
    parts = [lane.block(steps, phases=True) for _ in range(blocks)]
    step_s = statistics.median(block["s"] for block in plain)
    found = {
        name: statistics.median(block["phases"].get(name, 0.0) for block in parts)
        for name in PHASES
    }
    whole = sum(found.values())
    return {
        "step_s": step_s,
        "images_per_s": subject.batch / step_s,
        "memory_bytes": plain[-1]["gpu"] or plain[-1]["peak_bytes"],
        "phases_s": found,
        "phases_step_s": whole,
        "bookkeeping_share": sum(found[name] for name in BOOKKEEPING) / whole,
        "data_share": found["data"] / whole,
    }


def steps_of_a_block(step_s: float) -> int:
    """Return the steps of a block: long enough for the clock, short beside drifts of the load."""
    return max(round(_BLOCK_S / step_s), 1)
