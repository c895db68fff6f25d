"""A study's plan: its runs, what each costs, how each stands, and the sums."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from dit_core.study.grid.diff import StudyDiff
from dit_core.study.grid.expand import Expansion
from dit_core.study.language.study_model import Study
from dit_core.study.price import cost, predict
from dit_core.study.price.disk import checkpoint_bytes, kept_bytes
from dit_core.study.price.facts import cost_facts, network_facts
from dit_core.study.price.memory import memory_bytes
from dit_core.study.price.predict import Calibration
from dit_core.study.price.prefixes import counted, si
from dit_core.study.science.run import Run

_SETTLED = ("done", "diverged")


class Standing(Protocol):
    """How a run stands, as the records tell it (`records.run_state.RunState`)."""

    @property
    def word(self) -> str:
        """Return the state in one word."""

    @property
    def reason(self) -> str:
        """Return the reason of the state."""

    @property
    def evaluated(self) -> int:
        """Return how many of the planned evaluations have a record."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An expanded study beside the state of its runs in the results.

    `edit` compares with the runs the study had when it last ran; None if it never did.
    `calibration` is this machine's; None where it was never measured, `measured_s` the seconds it
    took where it was measured just now.
    `unmeasured` names claims that no evaluation of the study covers, `missing` files that the runs
    left to do need and this machine lacks, one line each.
    """

    study: Study
    expansion: Expansion
    states: tuple[Standing, ...]
    edit: StudyDiff | None
    calibration: Calibration | None = None
    measured_s: float | None = None
    unmeasured: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Return the runs in the order of the file."""
        return self.expansion.runs

    @property
    def left(self) -> tuple[Run, ...]:
        """Return the runs that are not finished yet."""
        pairs = zip(self.runs, self.states, strict=True)
        return tuple(run for run, state in pairs if state.word not in _SETTLED)


def plan_document(planned: Planned) -> dict[str, Any]:
    """Return the plan as plain values, field names as in the tables."""
    rows = []
    for run, state in zip(planned.runs, planned.states, strict=True):
        rows.append(run_row(run, state) | _predicted(planned.calibration, run))
    edit = planned.edit
    return {
        "study": planned.study.name,
        "question": planned.study.question,
        "merged_duplicates": planned.expansion.merged_duplicates,
        "unmeasured": list(planned.unmeasured),
        "missing": list(planned.missing),
        "warnings": warnings(planned),
        "edit": {"added": edit.added, "orphaned": edit.orphaned} if edit else None,
        "runs": rows,
        "totals": totals(planned),
    }


def _predicted(calibration: Calibration | None, run: Run) -> dict[str, float | None]:
    """Return how long a run will take here, and how fast it trains; None uncalibrated."""
    if calibration is None:
        return {"predicted_s": None, "predicted_images_per_s": None}
    rate = predict.images_per_s(calibration, run.science)
    return {"predicted_s": predict.run_s(calibration, run), "predicted_images_per_s": rate}


def run_row(run: Run, state: Standing) -> dict[str, Any]:
    """Return one run of a plan: identity, what varies, cost, state."""
    science = run.science
    macs = (cost.sampling_macs(science, e.evaluation) for e in run.evaluations)
    return {
        "run_id": run.run_id,
        "name": run.name,
        **network_facts(science),
        "objective": science.objective.name,
        "seed": science.train.seed,
        **cost_facts(science),
        "sampling_flops": sum(float(cost.FLOPS_PER_MAC) * each for each in macs),
        "memory_bytes": memory_bytes(science, run.execution),
        "disk_bytes": kept_bytes(run),
        "images": science.train.images,
        "evaluations": len(run.evaluations),
        "evaluated": state.evaluated,
        "state": state.word,
        "reason": state.reason,
        "swept": run.swept,
    }


def totals(planned: Planned) -> dict[str, Any]:
    """Return the sums of a plan: runs by state, evaluations, FLOPs in all and still to spend."""
    train = 0.0
    sampling = 0.0
    left = 0.0
    prices = cost.Prices()
    for run, state in zip(planned.runs, planned.states, strict=True):
        training, each = prices.run_flops(run.science, (e.evaluation for e in run.evaluations))
        train += training
        sampling += sum(each)
        if state.word not in _SETTLED:
            share = (len(each) - state.evaluated) / len(each) if each else 0.0
            left += sum(each) * share + (0.0 if state.word == "trained" else training)
    return {
        "runs": len(planned.runs),
        "states": dict(Counter(state.word for state in planned.states)),
        "evaluations": sum(len(run.evaluations) for run in planned.runs),
        "evaluated": sum(state.evaluated for state in planned.states),
        "train_flops": train,
        "sampling_flops": sampling,
        "flops_left": left,
        "predicted_wall_s": _wall_s(planned),
        "disk_bytes": sum(kept_bytes(run) for run in planned.runs),
        "checkpoint_bytes": sum(checkpoint_bytes(run) for run in planned.left),
    }


def _wall_s(planned: Planned) -> float | None:
    """Return the predicted seconds this machine needs for what is left; None uncalibrated."""
    if planned.calibration is None:
        return None
    return predict.wall_s(planned.calibration, planned.left) if planned.left else 0.0


def warnings(planned: Planned) -> list[str]:
    """Return what is allowed and yet rarely meant, one line each."""
    large = {
        (run.science.train.batch, run.science.data.name, run.science.data.images)
        for run in planned.runs
        if run.science.train.batch > run.science.data.images
    }
    return [
        f"batch {batch:,} is larger than data {name!r} ({images:,} images): every step repeats some"
        for batch, name, images in sorted(large)
    ]


def summary_lines(planned: Planned) -> list[str]:
    """Return the sums of a plan as lines of text."""
    sums = totals(planned)
    states = ", ".join(f"{count:,} {word}" for word, count in sums["states"].items())
    lines = [
        f"{counted(sums['runs'], 'run')} ({states or 'none'}), "
        f"{sums['evaluated']:,} of {counted(sums['evaluations'], 'evaluation')} made",
        f"training {si(sums['train_flops'])}FLOP + sampling {si(sums['sampling_flops'])}FLOP, "
        f"{si(sums['flops_left'])}FLOP left to spend",
        f"disk {si(sums['disk_bytes'])}B, while it runs up to {si(sums['checkpoint_bytes'])}B "
        "more for checkpoints",
        *_time_lines(planned, sums["predicted_wall_s"]),
    ]
    if planned.edit and (planned.edit.added or planned.edit.orphaned):
        counts, *changes = planned.edit.lines()
        lines += [f"edited since it last ran: {counts}", *changes]
    lines += planned.unmeasured
    lines += [f"warning: {line}" for line in warnings(planned)]
    lines += [f"missing: {line}" for line in planned.missing]
    if planned.expansion.merged_duplicates:
        lines.append(f"{counted(planned.expansion.merged_duplicates, 'duplicate')} merged")
    return lines


def _time_lines(planned: Planned, seconds: float | None) -> list[str]:
    if planned.calibration is None or seconds is None:
        return []
    how = "as calibrated"
    if planned.measured_s is not None:
        how = f"measured in {planned.measured_s:.0f} s just now"
    rates = [predict.images_per_s(planned.calibration, run.science) for run in planned.runs]
    lines = [f"about {seconds / 60:.1f} minutes on this machine ({how})"]
    if rates:
        slow = si(min(rates))
        fast = si(max(rates))
        span = slow if slow == fast else f"{slow} to {fast}"
        lines.append(f"training at {span} images/s, {planned.calibration.workers} at a time")
    return lines
