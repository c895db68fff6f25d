"""What the scheduler says about our tasks.

One squeue for all; sacct only for those that squeue no longer lists.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from slurm.scheduler.commands import ask

# Every job state word of Slurm (job_state_base and flags, 22.05 to 25.05): what it means for a task
# of ours. waiting and running tasks live; ended ones do not, and the word says why; any other word
# is "unknown".
WAITING = {
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
    "POWER_UP_NODE",
}
RUNNING = {
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "STOPPED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "UPDATE_DB",
    "EXPEDITING",
}
ENDED = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "PREEMPTED": "preempted",
    "REVOKED": "preempted",
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "LAUNCH_FAILED": "node failure",
    "RECONFIG_FAIL": "node failure",
    "OUT_OF_MEMORY": "out of memory",
}


def meaning(word: str) -> tuple[str, str | None]:
    """Return (phase, kind) of a job state word.

    The phase is waiting, running, ended or unknown; the kind says how an ended one ended.
    """
    plain = word.split()[0].rstrip("+").upper() if word.split() else ""
    if plain in WAITING:
        return "waiting", None
    if plain in RUNNING:
        return "running", None
    if plain in ENDED:
        return "ended", ENDED[plain]
    return "unknown", None


@dataclass(frozen=True, slots=True)
class Task:
    """One task as the scheduler sees it; `key` is "123_4", or "123" where it is no array."""

    key: str
    word: str
    name: str
    reason: str = ""
    node: str = ""

    @property
    def phase(self) -> str:
        """Return waiting, running, ended or unknown."""
        return meaning(self.word)[0]

    @property
    def held_after_launch(self) -> bool:
        """Return whether Slurm put the task on hold because a node could not start it.

        Nobody but us ever releases such a task.
        """
        return self.phase == "waiting" and self.reason.lower().startswith("launch failed")

    @property
    def kind(self) -> str | None:
        """Return how an ended task ended."""
        kind = meaning(self.word)[1]
        if kind == "cancelled" and self.reason.startswith("Dependency"):
            # Slurm gave it up because its training did not end well; nobody cancelled it
            return "dependency"
        return kind


@dataclass(frozen=True, slots=True)
class Queue:
    """Our tasks by key.

    Where `trouble` is set the scheduler did not answer, and an absent task means nothing.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    trouble: str | None = None


_UUID = re.compile(r"-([0-9a-f]{16})$")


def uuid_in(name: str) -> str | None:
    """Return the intent's uuid that a job of ours carries in its name."""
    found = _UUID.search(name)
    return found.group(1) if found else None


def read_queue() -> Queue:
    """Return all tasks of this user that squeue lists, recently ended ones too, in one call."""
    answer = ask("squeue", "-h", "-r", "-t", "all", "-u", getpass.getuser(), "-o", "%i|%T|%r|%N|%j")
    if not answer.ok:
        return Queue(trouble=f"squeue: {answer.trouble}")
    tasks: dict[str, Task] = {}
    for line in answer.out.splitlines():
        parts = line.split("|", 4)
        if len(parts) != 5 or uuid_in(parts[4]) is None:
            continue  # banners, and jobs that are not ours
        for key in expand_ids(parts[0]):
            tasks[key] = Task(key, parts[1], parts[4], parts[2], parts[3])
    return Queue(tasks)


def read_accounting(jobs: Iterable[str], names: Iterable[str] = ()) -> Queue:
    """Return what sacct says about array jobs by id, or about jobs by name.

    Sites without accounting give a trouble.
    """
    tasks: dict[str, Task] = {}
    columns = (
        "-X",
        "-n",
        "-P",
        "-S",
        "2000-01-01",
        "-o",
        "JobID,State,Reason,NodeList,JobName%200",
    )
    for option, chunk in [
        *(("-j", c) for c in _chunks(jobs)),
        *(("--name", c) for c in _chunks(names)),
    ]:
        answer = ask("sacct", *columns, option, chunk)
        if not answer.ok:
            return Queue(tasks, f"sacct: {answer.trouble}")
        for line in answer.out.splitlines():
            parts = line.split("|", 4)
            if len(parts) == 5 and uuid_in(parts[4]) is not None:
                for key in expand_ids(parts[0]):
                    tasks[key] = Task(key, parts[1], parts[4], parts[2], parts[3])
    return Queue(tasks)


def expand_ids(text: str) -> Iterator[str]:
    """Yield the task keys of a job id: "7", "7_3", and pending arrays such as "7_[0-5:2,9%4]".

    A list that Slurm cut short ("...") yields what is there.
    """
    found = re.fullmatch(r"(\d+)_\[([^\]]*)\]?", text.strip())
    if not found:
        if re.fullmatch(r"\d+(_\d+)?", text.strip()):
            yield text.strip()
        return
    job, ranges = found.groups()
    for part in ranges.split("%")[0].split(","):
        span = re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part)
        if span:
            first = int(span[1])
            last = int(span[2] or span[1])
            step = int(span[3] or 1)
            yield from (f"{job}_{i}" for i in range(first, last + 1, max(step, 1)))


def _chunks(words: Iterable[str], size: int = 200) -> list[str]:
    unique = sorted(set(words))
    return [",".join(unique[i : i + size]) for i in range(0, len(unique), size)]
