"""One benchmark: our loop by itself, then beside the peer, with batches that fit the memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from dit_core.bench.device import device_name
from dit_core.bench.lane import DoesNotFit, Lane
from dit_core.bench.pair import Paired, paired
from dit_core.bench.phases import phases_of
from dit_core.bench.subject import Subject
from dit_core.study.price import cost
from dit_core.training.ceiling import matrix_ceiling

Show = Callable[[str, int, int], None]
Found = TypeVar("Found")
_SAMPLING = {"sampling_steps": 10, "guidance": 1.5}


def measure(
    subject: Subject,
    blocks: int,
    steps: int | None,
    show: Show,
    *,
    peer: bool = True,
    sampling: bool = False,
    fixed_batch: bool = False,
) -> dict[str, Any]:
    """Return what `subject` reaches here, by itself and beside the peer.

    By itself: images/s, phases of a step, MFU and memory. A batch that does not fit is halved: for
    ours alone unless `fixed_batch`, and for both beside the peer, which takes more memory and
    shares it. Every comparison names its `batch`. Raises DoesNotFit where none fits.
    """
    found, subject = _fitting(lambda s: _alone(s, peer, blocks, steps, show), subject, fixed_batch)
    comparisons: dict[str, dict[str, Any]] = {"step": {}}
    if sampling:
        comparisons |= {"gradients": {}, "sampling": _SAMPLING}
    for what, settings in comparisons.items():
        if peer and what not in found["peer"]:
            found["peer"][what] = _beside(what, subject, blocks, steps, show, settings)
    return {"device": device_name(), "subject": subject.plain(), **found}


def _alone(
    subject: Subject, peer: bool, blocks: int, steps: int | None, show: Show
) -> dict[str, Any]:
    """Return what our loop does by itself and, where both fit at once, beside the peer's."""
    with Lane("ours", "step", subject) as lane:
        show("first step", 0, 1)
        lane.ready()
        show("first step", 1, 1)
        found = phases_of(lane, subject, blocks)
        torch.set_num_threads(subject.threads)
        ceiling = matrix_ceiling(torch.device(subject.device), subject.precision)
        flops = cost.train_flops_of(cost.fwd_macs(subject.science), found["images_per_s"])
        found |= {
            "flops_per_s": flops,
            "ceiling_flops_per_s": ceiling,
            "mfu": flops / ceiling,
            "peer": {},
        }
        with contextlib.suppress(DoesNotFit):
            if peer:
                pair = paired(
                    "step", subject, blocks, steps, lambda k: show("step", k, blocks), lane
                )
                found["peer"]["step"] = pair.plain() | {"batch": subject.batch}
    return found


def _beside(
    what: str,
    subject: Subject,
    blocks: int,
    steps: int | None,
    show: Show,
    settings: dict[str, Any],
) -> dict[str, Any]:
    def compare(subject: Subject) -> Paired:
        return paired(what, subject, blocks, steps, lambda k: show(what, k, blocks), **settings)

    pair, at = _fitting(compare, subject)
    return pair.plain() | {"batch": at.batch}


def _fitting(
    work: Callable[[Subject], Found], subject: Subject, fixed: bool = False
) -> tuple[Found, Subject]:
    """Return (what `work` finds, the subject it fitted with).

    The batch is halved until it fits, unless `fixed`.
    """
    while True:
        try:
            return work(subject), subject
        except DoesNotFit:
            if fixed or subject.batch == 1:
                raise
            subject = replace(subject, batch=subject.batch // 2)
