"""Where a submission happens: the study's folder, claimed; the code, copied; the profile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dit_core.errors import EnvironmentProblem
from dit_core.records.disk import lease
from dit_core.records.disk.owner import refuse_foreign
from dit_core.records.paths import Store
from dit_core.records.provenance import provenance
from slurm.orders.snapshot import Code, take_snapshot
from slurm.scheduler.profile import Profile

_LOCK_WAIT_S = 60.0


@dataclass(frozen=True)
class Site:
    """Everything a submission needs besides what to submit."""

    store: Store
    study: str
    profile: Profile
    code: Code
    commit: str
    reached: Callable[[str], None] = lambda step: None
    """Called with the name of every step; tests end the process here."""


def make_site(
    store: Store, study: str, profile: Profile, reached: Callable[[str], None] = lambda step: None
) -> Site:
    """Return the site of a submission, with a copy of the code; refuse what others may write."""
    _refuse_open_folders(store, study)
    facts = provenance()
    commit = f"{facts['commit'] or ''}{'+dirty' if facts['dirty'] else ''}"
    return Site(store, study, profile, take_snapshot(store.code), commit, reached)


def lock(store: Store, study: str, wait_s: float = _LOCK_WAIT_S) -> lease.Lease:
    """Return the claim on submitting this study; raise EnvironmentProblem after `wait_s` seconds.

    A courtesy that saves double work. Two submitters that got past it would still not train a run
    twice: tasks claim their run before they begin.
    """
    path = store.submit_lock(study)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return lease.acquire(path)
        except lease.LeaseHeld as held:
            owner = held.owner
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"study {study!r} is being submitted by process {owner['pid']} on "
                    f"{owner['host']} since "
                    f"{owner.get('at')}; wait for it to end"
                ) from None
            time.sleep(0.2)


def _refuse_open_folders(store: Store, study: str) -> None:
    for folder in (
        store.root,
        store.code,
        store.studies,
        store.study(study),
        store.intents(study),
        store.runs,
    ):
        if folder.exists():
            refuse_foreign(folder, "what lies in it runs as you")
