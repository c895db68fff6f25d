"""One submission from beginning to end: look, decide, price, submit.

`ditlab submit` prints what this returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.paths import Store
from dit_core.study.science.run import Run
from slurm.scheduler.commands import site_limits
from slurm.scheduler.probe import probe_results
from slurm.scheduler.profile import Profile
from slurm.standing.gather import View, look
from slurm.submission.actions import release_held
from slurm.submission.cluster import check_asks
from slurm.submission.decide import Array, Decision, arrange, decide
from slurm.submission.hours import Bill, bill
from slurm.submission.site import lock, make_site
from slurm.submission.submit import Submission, perform, settle


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for: act or only say, a limit in device-hours, a probe job first."""

    go: bool = False
    max_device_hours: float | None = None
    probe: bool = False
    reached: Callable[[str], None] = lambda step: None
    """Called with the name of every step; tests end the process there."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How everything stands, what it asks for and costs, and what was submitted."""

    decision: Decision
    arrays: tuple[Array, ...]
    bill: Bill
    view: View
    recovered: tuple[str, ...] = ()
    submission: Submission | None = None

    @property
    def busy(self) -> bool:
        """Return whether anything is under way or left to submit."""
        words = {s.word for row in self.decision.rows for s in (row.training, *row.evals.values())}
        return bool(self.arrays) or bool(words & {"running", "waiting", "unknown"})


def reconcile(
    store: Store, study: str, runs: tuple[Run, ...], profile: Profile, order: Order
) -> Reconciled:
    """Compare `runs` with what is done and queued and, with `order.go`, submit the rest.

    Raises UserError or EnvironmentProblem, before anything is submitted, where the profile does not
    fit the cluster, the price is above the limit, or the queue cannot be read.
    """
    if not order.go:
        return _look_and_decide(store, study, runs, profile, order)
    claim = lock(store, study)
    try:
        order.reached("locked")
        recovered = tuple(settle(store, study))
        order.reached("settled")
        found = _look_and_decide(store, study, runs, profile, order)
        if found.view.book.queue.trouble is not None:
            raise EnvironmentProblem(
                f"{found.view.book.queue.trouble}; what is queued is not known: nothing is "
                "submitted"
            )
        recovered += tuple(release_held(found.view))
        submission = None
        if found.arrays:
            if order.probe:
                probe_results(store, profile)
            site = make_site(store, study, profile, order.reached)
            order.reached("code copied")
            queued = sum(
                t.phase in ("waiting", "running") for t in found.view.book.queue.tasks.values()
            )
            submission = perform(site, found.arrays, runs, queued)
    finally:
        claim.release()
    return Reconciled(found.decision, found.arrays, found.bill, found.view, recovered, submission)


def _most_tasks() -> int:
    """Return the tasks one array may have; raise EnvironmentProblem where arrays are forbidden."""
    most = site_limits().array_tasks
    if most < 1:
        raise EnvironmentProblem(
            "this cluster forbids job arrays (MaxArraySize 0 in slurm.conf), which submissions are "
            "made of; ask its administrators for MaxArraySize 1001, or use `ditlab run` inside "
            "a job of your own"
        )
    return most


def _look_and_decide(
    store: Store, study: str, runs: tuple[Run, ...], profile: Profile, order: Order
) -> Reconciled:
    view = look(store, study, runs)
    decision = decide(runs, view.facts)
    arrays = arrange(decision, profile, _most_tasks())
    if arrays:
        check_asks(profile, arrays)
    price = bill(store, decision, arrays, profile)
    limit = order.max_device_hours
    if limit is not None and price.hours > limit:
        raise UserError(
            f"--max-device-hours {limit:g}: this would take {price.summary}; choose fewer runs, or "
            "allow more"
        )
    return Reconciled(decision, arrays, price, view)
