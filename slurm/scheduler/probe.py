"""Whether the nodes see the results folder: a small job writes into it."""

from __future__ import annotations

import secrets
import shlex
import time
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.records.paths import Store
from slurm.scheduler.commands import ask
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import meaning

_START_S = 120.0
_LAG_S = 5.0


def probe_results(store: Store, profile: Profile) -> str:
    """Have a node write into the results folder; return the node's name.

    Raises EnvironmentProblem where it cannot.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    mark = store.root / f".probe-{secrets.token_hex(8)}"
    job = _start(mark, profile)
    deadline = time.monotonic() + _START_S
    try:
        while time.monotonic() < deadline:
            if mark.exists():
                return mark.read_text().strip()
            words = ask("squeue", "-h", "-t", "all", "-j", job, "-o", "%T %N").out.split()
            if words and meaning(words[0])[0] == "ended" and not _appears(mark):
                node = words[1] if len(words) > 1 else "its node"
                raise EnvironmentProblem(
                    f"{store.root}: node {node} cannot write into this folder; "
                    "choose --results on a file system that the nodes share"
                )
            time.sleep(0.3)
    finally:
        mark.unlink(missing_ok=True)
        ask("scancel", job)
    raise EnvironmentProblem(
        f"the probe job {job} did not start within {_START_S:g} s; submit without --probe, or wait "
        "for a free node"
    )


def _start(mark: Path, profile: Profile) -> str:
    given = {"partition": profile.partition, "account": profile.account, "qos": profile.qos}
    options = [f"--{key}={value}" for key, value in given.items() if value]
    target = shlex.quote(str(mark))
    command = f"hostname -s > {target}.part && mv {target}.part {target}"
    fixed = ("--parsable", "--job-name=ditlab-probe", "--output=/dev/null", "--time=2", "--chdir=/")
    answer = ask("sbatch", *fixed, *options, "--wrap", command)
    job = answer.out.strip().split(";")[0]
    if not answer.ok or not job.isdigit():
        raise EnvironmentProblem(f"the probe job was refused: {answer.trouble}")
    return job


def _appears(mark: Path) -> bool:
    """Return whether the file shows up within a few seconds: network file systems lag."""
    deadline = time.monotonic() + _LAG_S
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    return mark.exists()
