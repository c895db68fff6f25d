"""Slurm's own commands, with a time limit and without a surrounding job's environment."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from dit_core.errors import EnvironmentProblem

TIMEOUT_S = 20.0
SUBMIT_TIMEOUT_S = 60.0

# Which cluster is asked and as whom: without these the question reaches nobody.
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
_COMMANDS = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SCANCEL", "SCONTROL")
_DROPPED = (*_COMMANDS, "SQUEUE_", "SACCT_", "SINFO_")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. `code` is None where it did not end within its time limit."""

    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Return whether the command ended well."""
        return self.code == 0

    @property
    def trouble(self) -> str:
        """Return in a line why it did not."""
        if self.code is None:
            return "no answer within its time limit"
        return " ".join((self.err or self.out).split())[:400] or f"exit code {self.code}"


def ask(*command: str, timeout_s: float | None = None) -> Answer:
    """Run a command and return its answer; raise EnvironmentProblem where there is no such command.

    A command that hangs is killed; whether what it asked for happened is then unknown.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout_s or TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env=clean_environment(),
            check=False,
        )
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"no {command[0]} on this machine: Slurm's commands are not installed or not on PATH; "
            "log in to the cluster, or carry the study out here with `ditlab run`"
        ) from None
    except subprocess.TimeoutExpired as late:
        return Answer(None, _text(late.stdout), _text(late.stderr))
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables of a surrounding allocation and of habit.

    A new job would inherit the first; the second (SQUEUE_PARTITION, SACCT_FORMAT, ...) make a
    command show less than there is, or in other columns.
    """
    return {k: v for k, v in os.environ.items() if k in _KEPT or not k.startswith(_DROPPED)}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the site allows: tasks of one array, and the largest task id besides."""

    array_tasks: int = 1001
    jobs: int | None = None


def site_limits() -> Limits:
    """Return the limits of this cluster; Slurm's own default where it does not say."""
    answer = ask("scontrol", "show", "config")
    if not answer.ok:
        return Limits()
    size = _number(answer.out, r"MaxArraySize\s*=\s*(\d+)")
    tasks = _number(answer.out, r"max_array_tasks=(\d+)")
    # MaxArraySize 1001 allows task ids 0 to 1000, so 1001 tasks; MaxArraySize 0 forbids arrays.
    most = min([n for n in (size, tasks) if n is not None], default=1001)
    return Limits(most, _number(answer.out, r"MaxJobCount\s*=\s*(\d+)"))


def _number(text: str, pattern: str) -> int | None:
    found = re.search(pattern, text)
    return int(found.group(1)) if found else None


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="replace")
