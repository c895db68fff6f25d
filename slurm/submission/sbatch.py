"""What sbatch's answer means: a job's id, a full queue, a refusal, or doubt.

sbatch has no machine-readable answer, so its words are read; only here.
"""

from __future__ import annotations

import re
import time

from dit_core.errors import EnvironmentProblem
from slurm.scheduler.commands import Answer
from slurm.scheduler.queue import Queue, read_accounting, read_controller, read_queue

# What sbatch says where a limit on queued tasks is reached: wait, do not fail.
_FULL = re.compile(
    r"MaxSubmit|MaxJobCount|JobLimit|[Jj]ob (?:submit )?limit|Resource temporarily "
    r"unavailable|MaxJobs"
)
# What it says where the request may or may not have reached the controller.
_UNSURE = re.compile(
    r"timed? ?out|time limit|Unable to contact|Connection (?:refused|reset)|Zero Bytes|Transport "
    r"end"
)
LOOK_S = (0.5, 2.0, 5.0)
"""Pauses before each look for a job whose acceptance is in doubt."""


def job_id(answer: Answer) -> str | None:
    """Return the job id in what `sbatch --parsable` says: "123" or "123;cluster".

    None where several lines could be it: a banner may hold digits, and only the job's name tells.
    """
    if not answer.ok:
        return None
    hits = [re.fullmatch(r"(\d+)(?:;[A-Za-z0-9_.-]+)?", line) for line in answer.out.splitlines()]
    ids = [hit.group(1) for hit in hits if hit]
    return ids[0] if len(ids) == 1 else None


def look_up(name: str, answer: Answer) -> str | None:
    """Return the job of this name, where sbatch's answer does not say.

    None is a certain refusal.

    Raises EnvironmentProblem where nobody can tell: the intent then stays open and the next call
    settles it.
    """
    sure = answer.code not in (0, None) and not _UNSURE.search(answer.trouble)
    if sure and is_full(answer):
        return None
    for pause_s in (0.0,) if sure else LOOK_S:
        time.sleep(pause_s)
        queue = read_queue()
        accounting = read_accounting((), (name,)) if queue.trouble is None else Queue()
        every = read_controller() if not sure else Queue()
        sources = (queue, every, accounting)
        for task in (t for source in sources for t in source.tasks.values()):
            if task.name == name:
                return task.key.split("_")[0]
        queue = queue if queue.trouble is not None else every
        if queue.trouble is None and sure:
            return None
    if queue.trouble is None:
        return None
    raise EnvironmentProblem(
        f"sbatch: {answer.trouble}; and {queue.trouble}. Whether Slurm took job {name} is not "
        "known yet: "
        "the same command finds out when Slurm answers again"
    )


def is_full(answer: Answer) -> bool:
    """Return whether sbatch refused because a limit on queued tasks is reached."""
    return bool(_FULL.search(answer.trouble))


def advice(answer: Answer) -> str:
    """Return what to do about a refusal, to be put behind Slurm's own words."""
    hints = {
        "partition": "; `ditlab clusters` shows the partitions of this cluster",
        "qos": "; `sacctmgr show qos` shows what there is",
        "account": "; `sacctmgr show assoc user=$USER` shows your accounts",
        "node configuration": "; no node has the GPUs, cores or memory that the profile asks for",
    }
    return next((hint for key, hint in hints.items() if key in answer.trouble.lower()), "")
