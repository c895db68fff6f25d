"""The faults of a chaos run, each a function that strikes once, and how often chance picks each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from chaos_field import Field
from slurm_cluster import NODES

# Each fault returns whether it struck: a kill needs something that runs.


def preempt(at: Field) -> bool:
    """A more urgent job takes a node; its tasks hear a signal first."""
    return _urgent(at)


def preempt_without_warning(at: Field) -> bool:
    """Preempt where the site sends no signal and KillWait is short: SIGKILL a second later."""
    at.cluster.configure(SlurmctldParameters="", KillWait="1")
    try:
        return _urgent(at)
    finally:
        at.cluster.configure(SlurmctldParameters="preempt_send_user_signal", KillWait="15")


def kill_worker(at: Field) -> bool:
    """SIGKILL to a process that trains."""
    owners = list(at.store.runs.glob("*/*/lease.json")) + list(
        at.store.runs.glob("*/*/leases/*.json")
    )
    at.dice.shuffle(owners)
    for lease in owners:
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = json.loads(lease.read_text())["pid"]
            if b"slurm.task.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return True
    return False


def kill_task_at_start(at: Field) -> bool:
    """SIGKILL to a whole task through Slurm, wherever it is."""
    jobs = at.running()
    return (
        bool(jobs)
        and at.cluster.run("scancel", "--signal=KILL", at.dice.choice(jobs)).returncode == 0
    )


def requeue(at: Field) -> bool:
    """An operator requeues a running task."""
    jobs = at.running()
    return (
        bool(jobs) and at.cluster.run("scontrol", "requeue", at.dice.choice(jobs)).returncode == 0
    )


def stop_node(at: Field) -> bool:
    """slurmd of one node is killed and comes back."""
    node = at.dice.choice(NODES)
    at.cluster.stop(f"slurmd.{node}", hard=True)
    time.sleep(at.dice.uniform(0.2, 2))
    at.cluster.start_slurmd(node)
    return True


def fail_node(at: Field) -> bool:
    """Declare a node down: its tasks start elsewhere; later the node comes back."""
    node = at.dice.choice(NODES)
    at.cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=chaos")
    time.sleep(at.dice.uniform(0.2, 1))
    at.cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
    return True


def restart_controller(at: Field) -> bool:
    """slurmctld is killed and comes back."""
    at.cluster.stop("slurmctld", hard=True)
    time.sleep(at.dice.uniform(0.1, 1.5))
    at.cluster.start_slurmctld()
    return True


def lose_accounting(at: Field) -> bool:
    """slurmdbd goes away; sacct answers with an error until it is back."""
    if not at.cluster.accounting:
        return False
    at.cluster.stop("slurmdbd")
    said = at.submit()
    said.communicate(timeout=120)
    at.cluster.start_slurmdbd()
    return True


def kill_submitter(at: Field) -> bool:
    """A submitter is killed somewhere on its way."""
    child = at.submit()
    time.sleep(at.dice.uniform(0.0, 1.5))
    struck = child.poll() is None
    child.kill()
    child.communicate()
    return struck


def two_submitters(at: Field) -> bool:
    """Two submitters start at once."""
    pair = [at.submit(), at.submit()]
    for child in pair:
        child.communicate(timeout=180)
    return True


FAULTS: dict[Callable[[Field], bool], int] = {
    preempt: 3,
    preempt_without_warning: 2,
    kill_worker: 4,
    kill_task_at_start: 2,
    requeue: 2,
    stop_node: 2,
    fail_node: 2,
    restart_controller: 2,
    lose_accounting: 1,
    kill_submitter: 3,
    two_submitters: 2,
}


def _urgent(at: Field) -> bool:
    before = at.running()
    node = at.dice.choice(NODES)
    words = (
        "sbatch",
        "--parsable",
        "-p",
        "urgent",
        f"--nodelist={node}",
        "--exclusive",
        "--output=/dev/null",
    )
    job = at.cluster.run(*words, "--wrap", "sleep 1").stdout.strip()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        state = at.cluster.run("squeue", "-h", "-j", job, "-o", "%T").stdout.strip()
        if state not in ("PENDING", "CONFIGURING"):
            break
        time.sleep(0.2)
    return bool(before)
