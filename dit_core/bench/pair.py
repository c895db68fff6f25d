"""Two lanes that take turns, and the ratio of what they take."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dit_core.bench.lane import Lane
from dit_core.bench.phases import steps_of_a_block
from dit_core.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class Paired:
    """Seconds per step of both sides (medians of the blocks), and the ratios peer / ours."""

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
        """Return the steps after which ours has repaid its first, compiling one; None if never."""
        extra = self.first_s - self.peer_first_s
        gain = self.peer_s - self.ours_s
        if extra <= 0:
            return 0
        return round(extra / gain) if gain > 0 else None

    def plain(self) -> dict[str, Any]:
        """Return the fields as plain values, with `pays_after_steps`."""
        return asdict(self) | {"pays_after_steps": self.pays_after_steps}


def paired(
    what: str,
    subject: Subject,
    blocks: int,
    steps: int | None = None,
    on_block: Callable[[int], None] = lambda k: None,
    ours: Lane | None = None,
    **settings: Any,
) -> Paired:
    """Return the comparison of `blocks` pairs of blocks; the order within a pair alternates.

    A block has `steps` steps, or as many as the faster side makes in half a second.

    `ours` is a warm lane to be used instead of a new one. `subject` says how ours is run; the peer
    is always float32 and never compiled.
    """
    peer_subject = Subject(**(subject.plain() | {"precision": "float32", "compile": "off"}))
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(Lane("peer", what, peer_subject, **settings))
        peer_first_s = peer.ready()
        if ours is None:
            ours = stack.enter_context(Lane("ours", what, subject, **settings))
            ours.ready()
        lanes = (ours, peer)
        warm = [lane.block(steps or 2)["s"] for lane in lanes]  # caches and allocator
        steps = steps or steps_of_a_block(min(warm))
        times: list[list[dict[str, Any]]] = [[], []]
        for k in range(blocks):
            for side in (0, 1) if k % 2 else (1, 0):
                times[side].append(lanes[side].block(steps))
            on_block(k + 1)
    ours_s, peer_s = ([block["s"] for block in side] for side in times)
    ratios = [b / a for a, b in zip(ours_s, peer_s, strict=True)]
    cpu = [b["cpu_s"] / max(a["cpu_s"], 1e-9) for a, b in zip(*times, strict=True)]
    return Paired(
        ours_s=statistics.median(ours_s),
        peer_s=statistics.median(peer_s),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        cpu_ratio=statistics.median(cpu),
        blocks=blocks,
        first_s=ours.first_s,
        peer_first_s=peer_first_s,
    )
