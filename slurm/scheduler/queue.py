"""What the scheduler says about our tasks: evidence, each source by itself.

One squeue for all; sacct and the controller only for those that squeue does not list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dit_core.errors import EnvironmentProblem
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
    plain = _whole(word.split()[0].upper()) if word.split() else ""
    if plain in WAITING:
        return "waiting", None
    if plain in RUNNING:
        return "running", None
    if plain in ENDED:
        return "ended", ENDED[plain]
    return "unknown", None


def _whole(word: str) -> str:
    """Return a word that a narrow column cut short ("OUT_OF_ME+"), where only one begins so."""
    if not word.endswith("+"):
        return word
    plain = word.rstrip("+")
    begun = [w for w in (*WAITING, *RUNNING, *ENDED) if w == plain or w.startswith(plain)]
    return plain if plain in begun or len(begun) != 1 else begun[0]


@dataclass(frozen=True, slots=True)
class Task:
    """One task as the scheduler sees it; `key` is "123_4", or "123" where it is no array.

    `doubt` is set where sources contradict each other: nothing follows from the word then.
    """

    key: str
    word: str
    name: str
    reason: str = ""
    node: str = ""
    doubt: str = ""

    @property
    def phase(self) -> str:
        """Return waiting, running, ended or unknown."""
        return "unknown" if self.doubt else meaning(self.word)[0]

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


_COLUMNS = "JobID,State%40,Reason,NodeList,JobName%200"
_UUID = re.compile(r"-([0-9a-f]{16})$")


def uuid_in(name: str) -> str | None:
    """Return the intent's uuid that a job of ours carries in its name."""
    found = _UUID.search(name)
    return found.group(1) if found else None


def read_queue() -> Queue:
    """Return all tasks of this user that squeue lists, recently ended ones too, in one call.

    Asked by number, not by name, and for all partitions and states: the user's own habits must not
    hide a task.
    """
    user = str(os.getuid())
    answer = ask("squeue", "-h", "-r", "-a", "-t", "all", "-u", user, "-o", "%i|%T|%r|%N|%j")
    if not answer.ok:
        return Queue(trouble=f"squeue: {answer.trouble}")
    if answer.out and not answer.out.endswith("\n"):
        return Queue(trouble="squeue: its answer is cut short")
    return Queue(dict(_rows(answer.out)))


def _rows(text: str) -> Iterator[tuple[str, Task]]:
    """Yield (key, task) of rows "id|state|reason|node|name"; banners and foreign jobs are none."""
    for line in text.splitlines():
        parts = line.split("|", 4)
        if len(parts) != 5 or uuid_in(parts[4]) is None:
            continue
        for key in expand_ids(parts[0]):
            yield key, Task(key, parts[1], parts[4], parts[2], parts[3])


def read_accounting(jobs: Iterable[str], names: Iterable[str] = ()) -> Queue:
    """Return what sacct says about array jobs by id, or about jobs by name.

    Sites without accounting give a trouble.
    """
    tasks: dict[str, Task] = {}
    columns = ("-X", "-n", "-P", "-S", "2000-01-01", "-o", _COLUMNS)
    for option, chunk in [
        *(("-j", c) for c in _chunks(jobs)),
        *(("--name", c) for c in _chunks(names)),
    ]:
        answer = ask("sacct", *columns, option, chunk)
        if not answer.ok:
            return Queue(tasks, f"sacct: {answer.trouble}")
        if answer.out and not answer.out.endswith("\n"):
            return Queue(tasks, "sacct: its answer is cut short")
        tasks.update(_rows(answer.out))
    return Queue(tasks)


def read_controller(job: str | None = None) -> Queue:
    """Return what the controller itself says about a job, or about all jobs: no filter applies.

    A job that it does not know is an empty answer; anything else that fails is a trouble.
    """
    try:
        answer = ask("scontrol", "-o", "show", "job", *([job] if job else []))
    except EnvironmentProblem as error:
        return Queue(trouble=str(error))
    if not answer.ok and "Invalid job id" not in answer.trouble:
        return Queue(trouble=f"scontrol: {answer.trouble}")
    if answer.out and not answer.out.endswith("\n"):
        return Queue(trouble="scontrol: its answer is cut short")
    tasks: dict[str, Task] = {}
    for line in answer.out.splitlines():
        words = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
        mine = words.get("UserId", "").endswith(f"({os.getuid()})")
        if mine and uuid_in(words.get("JobName", "")) is not None:
            tasks.update({task.key: task for task in _controlled(words)})
    return Queue(tasks)


def _controlled(words: dict[str, str]) -> Iterator[Task]:
    """Yield the tasks of one record of the controller: a waiting array is one of many."""
    array = words.get("ArrayJobId")
    index = words.get("ArrayTaskId", "")
    written = f"{array}_{index}" if index.isdigit() else f"{array}_[{index}]"
    node = words.get("NodeList", "")
    for key in expand_ids(written if array else words.get("JobId", "")):
        word = words.get("JobState", "")
        reason = words.get("Reason", "")
        yield Task(key, word, words["JobName"], reason, "" if node == "(null)" else node)


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
