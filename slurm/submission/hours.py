"""Device-hours: the most a submission may cost, the estimate, and what was used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from dit_core.records.paths import Store
from dit_core.study.price import cost
from dit_core.study.science.run import Run
from slurm.scheduler.profile import Profile
from slurm.standing.gather import read_attempts_safely
from slurm.submission.decide import Array, Decision

_SAMPLE = 50
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Bill:
    """Device-hours of a submission: the bound by its time limits, and an estimate or None."""

    at_most: float
    estimate: float | None

    @property
    def hours(self) -> float:
        """Return the figure that a limit is compared with."""
        return self.at_most if self.estimate is None else min(self.estimate, self.at_most)

    @property
    def summary(self) -> str:
        """Return both as text."""
        most = f"at most {self.at_most:.3g} device-hours by the time limits"
        return most if self.estimate is None else f"about {self.estimate:.3g} device-hours ({most})"


def bill(store: Store, decision: Decision, arrays: Iterable[Array], profile: Profile) -> Bill:
    """Return what a decision costs.

    The estimate rests on finished runs of the study on the same kind of device.
    """
    minutes = {False: profile.minutes, True: profile.evaluation_minutes or profile.minutes}
    at_most = sum(len(a.tasks) * a.processes * minutes[a.evaluates] for a in arrays)
    speed = seconds_per_flop(store, [row.run for row in decision.rows])
    estimate = None
    if speed is not None:
        flops = sum(train_flops(row.run) for row in decision.rows if row.train)
        flops += sum(sampling_flops(row.run, (*row.evaluate, *row.follow)) for row in decision.rows)
        estimate = flops * speed / 3600
    return Bill(at_most / 60, estimate)


def used_hours(store: Store, run: Run) -> float:
    """Return the device-hours that all attempts of a run have taken, redone work included."""
    seconds = sum(a.get("seconds") or 0.0 for a in read_attempts_safely(store.run(run.run_id)))
    return seconds * run.execution.processes / 3600


def seconds_per_flop(store: Store, runs: Iterable[Run]) -> float | None:
    """Return device-seconds per FLOP of up to 50 finished trainings; None without any."""
    seconds = flops = 0.0
    sampled = 0
    for run in islice(runs, _LOOKED_AT):
        if sampled == _SAMPLE:
            break
        if not store.run(run.run_id).outcome.exists():
            continue
        attempts = read_attempts_safely(store.run(run.run_id))
        if attempts and attempts[-1].get("end") == "done" and len(attempts) == 1:
            seconds += attempts[-1]["seconds"] * run.execution.processes
            flops += train_flops(run)
            sampled += 1
    return seconds / flops if flops else None


def train_flops(run: Run) -> float:
    """Return the FLOPs of a whole training."""
    return float(cost.train_flops(run.science))


def sampling_flops(run: Run, eval_ids: Iterable[str]) -> float:
    """Return the FLOPs of sampling for some of a run's evaluations."""
    wanted = set(eval_ids)
    return sum(
        2.0 * cost.sampling_macs(run.science, p.evaluation)
        for p in run.evaluations
        if p.eval_id in wanted
    )
