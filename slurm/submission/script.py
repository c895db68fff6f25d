"""The batch script of one array: submitit's text around ditlab's own worker.

submitit's own worker unpickles a file that gets its name only after sbatch has answered: a
submitter that dies in between loses its tasks. Here the task's orders lie in place before, as JSON,
and the command names them.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import EnvironmentProblem, UserError
from slurm.orders.intent import Intent
from slurm.orders.snapshot import MANIFEST, Code
from slurm.scheduler.batch_text import batch_text
from slurm.scheduler.profile import Profile

VISIBLE_S = 90
EXIT_SETUP = 78


@dataclass(frozen=True, slots=True)
class Job:
    """What one array asks for, besides its profile."""

    name: str
    folder: Path
    indices: tuple[int, ...]
    processes: int
    minutes: int
    after: str | None = None
    """Job id of the array whose task of the same index must have succeeded (aftercorr)."""


def render(profile: Profile, job: Job, code: Code, commit: str) -> str:
    """Return the batch script of `job`.

    Raises UserError where the results folder cannot be named in one.
    """
    if shutil.which("srun") is None:
        raise EnvironmentProblem(
            "no srun on this machine: Slurm's commands are not installed or not on PATH"
        )
    for path in (job.folder, code.folder):
        if "%" in str(path) or not str(path).isprintable():
            raise UserError(
                f"--results {str(path)!r}: Slurm expands % in paths; use a folder without it"
            )
    python = shlex.quote(profile.python or sys.executable)
    command = f"{python} -u -m slurm.task.worker {shlex.quote(str(Intent(job.folder).payload))}"
    parameters = _parameters(profile, job, code, commit)
    return batch_text(Intent(job.folder).logs, parameters, len(job.indices), command)


def _parameters(profile: Profile, job: Job, code: Code, commit: str) -> dict[str, object]:
    nodes, per_node = profile.shape(job.processes)
    gpus: int | str | None = per_node if profile.gpus_per_node else None
    if gpus and profile.gpu_type:
        gpus = f"{profile.gpu_type}:{gpus}"
    return {
        "job_name": job.name,
        "time": job.minutes,
        "nodes": nodes,
        "ntasks_per_node": per_node,
        "cpus_per_task": profile.cpus_per_process,
        "gpus_per_node": gpus,
        "mem": f"{profile.memory_gb}GB" if profile.memory_gb else None,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "signal_delay_s": profile.signal_s,
        "array_parallelism": profile.concurrency,
        "stderr_to_stdout": True,
        "wckey": None,
        "setup": _setup(profile, job, code, commit),
        # srun does not take over its job's cores per task, and one dead process must not leave the
        # others waiting
        "srun_args": [
            f"--cpus-per-task={profile.cpus_per_process}",
            "--kill-on-bad-exit=1",
            "--wait=0",
            "--open-mode=append",
        ],
        "additional_parameters": _further(profile, job),
    }


def _further(profile: Profile, job: Job) -> dict[str, object]:
    array = ",".join(_spans(job.indices)) + f"%{min(len(job.indices), profile.concurrency)}"
    further: dict[str, object] = {k: v for k, v in profile.extra.items() if v is not False}
    further |= {
        "array": array,
        "chdir": str(job.folder),
        "requeue" if profile.requeue == "slurm" else "no-requeue": True,
    }
    if job.after is not None:
        further |= {"dependency": f"aftercorr:{job.after}", "kill-on-invalid-dep": "yes"}
    return further


def _setup(profile: Profile, job: Job, code: Code, commit: str) -> list[str]:
    """Return the shell lines before the worker.

    They wait for the payload: a network file system may not show at once what was just written.
    """
    mark, payload = (
        shlex.quote(str(p)) for p in (code.folder / MANIFEST, Intent(job.folder).payload)
    )
    return [
        *profile.setup,
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in sorted(profile.environment.items())
        ),
        f"export PYTHONPATH={shlex.quote(str(code.folder))} PYTHONSAFEPATH=1 "
        f"DITLAB_COMMIT={shlex.quote(commit)}",
        f"for second in $(seq {VISIBLE_S}); do [ -e {mark} ] && [ -e {payload} ] && break; sleep "
        "1; done",
        f'for file in {mark} {payload}; do [ -e "$file" ] || {{ echo "ditlab: $file is gone, or '
        "this node cannot see "
        f'it; submit again"; exit {EXIT_SETUP}; }}; done',
    ]


def _spans(indices: tuple[int, ...]) -> list[str]:
    """Return ascending indices as Slurm writes them: 0-3,7."""
    spans: list[list[int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return [str(a) if a == b else f"{a}-{b}" for a, b in spans]
