"""Two lanes that take turns, and the ratio of what they take."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dit_core.bench.lane import Lane
from dit_core.bench.phases import steps_of_a_block
from dit_core.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class Paired:
    """Seconds per step of both sides (medians of the blocks) and the ratio peer / ours of each pair of blocks."""

    ours_s: float
    peer_s: float
    ratio: float
    lowest: float
    highest: float
    cpu_ratio: float
    blocks: int
    first_s: float
    peer_first_s: float

    @property
    def pays_after_steps(self) -> int | None:
        """Return after how many steps ours has repaid a longer first step (compiling); None if never."""
        extra, gain = self.first_s - self.peer_first_s, self.peer_s - self.ours_s
        if extra <= 0:
            return 0
        return round(extra / gain) if gain > 0 else None


def paired(
    what: str,
    subject: Subject,
    blocks: int,
    steps: int | None = None,
    on_block: Callable[[int], None] = lambda k: None,
    **settings: Any,
) -> Paired:
    """Return the comparison of `blocks` pairs of blocks; the order within a pair alternates.

    A block has `steps` steps, or as many as the faster side makes in half a second.

    `subject` says how ours is run; the peer is always float32 and never compiled.
    """
    peer_subject = Subject(**(subject.plain() | {"precision": "float32", "compile": "off"}))
    with contextlib.ExitStack() as stack:
        lanes, firsts, warm = [], [], []
        for side, its in (("ours", subject), ("peer", peer_subject)):
            lane = Lane(side, what, its, **settings)  # one after the other: set up, neither disturbs the other
            stack.callback(lane.close)
            firsts.append(lane.ready()["first_s"])
            warm.append(lane.block(steps or 2)["s"])  # caches and allocator
            lanes.append(lane)
        steps = steps or steps_of_a_block(min(warm))
        times: list[list[dict[str, Any]]] = [[], []]
        for k in range(blocks):
            for side in (0, 1) if k % 2 else (1, 0):
                times[side].append(lanes[side].block(steps))
            on_block(k + 1)
    ours, peer = ([block["s"] for block in side] for side in times)
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    cpu = [b["cpu_s"] / max(a["cpu_s"], 1e-9) for a, b in zip(*times, strict=True)]
    return Paired(
        ours_s=statistics.median(ours),
        peer_s=statistics.median(peer),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        cpu_ratio=statistics.median(cpu),
        blocks=blocks,
        first_s=firsts[0],
        peer_first_s=firsts[1],
    )
