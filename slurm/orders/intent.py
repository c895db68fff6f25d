"""The write-ahead record of one sbatch call, so that a submitter may die at any moment.

An intent is a folder `intents/<uuid>` with all that its tasks need, published whole before sbatch
is called; the uuid is in the job's name. `job.json` says which job came of it. An intent without
one is looked up by its uuid and adopted, or withdrawn for good: a task of a withdrawn intent that
starts after all leaves at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.fence import publishing
from dit_core.records.disk.files import read_json, sync_folder, write_json
from dit_core.records.provenance import now
from dit_core.study.science.run import Run
from slurm.orders.payload import Payload, encode_payload, encode_run
from slurm.scheduler.queue import Queue, Task, uuid_in


@dataclass(frozen=True, slots=True)
class Intent:
    """The folder of one intent."""

    folder: Path

    @property
    def uuid(self) -> str:
        """Return its identity: 16 hex digits."""
        return self.folder.name

    @property
    def payload(self) -> Path:
        """Return what its tasks do."""
        return self.folder / "payload.json"

    @property
    def runs(self) -> Path:
        """Return the runs it names, resolved."""
        return self.folder / "runs.jsonl"

    @property
    def script(self) -> Path:
        """Return the script given to sbatch."""
        return self.folder / "job.sh"

    @property
    def logs(self) -> Path:
        """Return the folder of its tasks' logs."""
        return self.folder / "logs"

    @property
    def job_file(self) -> Path:
        """Return the record of the job that came of it."""
        return self.folder / "job.json"

    @property
    def withdrawn_file(self) -> Path:
        """Return the mark that no job shall come of it."""
        return self.folder / "withdrawn.json"

    @property
    def seen_file(self) -> Path:
        """Return the last words the scheduler said about ended tasks, which it forgets."""
        return self.folder / "seen.json"

    @property
    def absent_file(self) -> Path:
        """Return when the scheduler was first found not to know a task."""
        return self.folder / "absent.json"

    def job(self) -> str | None:
        """Return the id of the job that came of it, if that is known."""
        try:
            return str(read_json(self.job_file)["job"])
        except (FileNotFoundError, RecordError, KeyError, TypeError):
            return None

    def withdrawn(self) -> bool:
        """Return whether it was given up."""
        return self.withdrawn_file.exists()

    def seen(self) -> dict[str, str]:
        """Return Slurm's last word by task key, its reason behind a bar."""
        return {k: v for k, v in _table(self.seen_file).items() if isinstance(v, str)}

    def absent(self) -> dict[str, Any]:
        """Return, by task key, when it was first found absent, or "lost"."""
        return _table(self.absent_file)


def _table(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (FileNotFoundError, RecordError, TypeError, ValueError):
        return {}


def new_uuid() -> str:
    """Return 16 random hex digits."""
    return secrets.token_hex(8)


def all_intents(intents: Path) -> list[Intent]:
    """Return every published intent in the intents folder of a study."""
    try:
        names = sorted(os.listdir(intents))
    except FileNotFoundError:
        return []
    return [Intent(intents / name) for name in names if not name.startswith(".")]


def publish(intents: Path, payload: Payload, runs: Iterable[Run], script: str) -> Intent:
    """Write an intent so that it is there whole or not at all; return it."""
    intents.mkdir(parents=True, exist_ok=True)
    temporary = Intent(intents / f".{payload.uuid}.tmp")
    temporary.folder.mkdir()
    temporary.logs.mkdir()
    try:
        _write(temporary.runs, "".join(encode_run(run) for run in runs))
        _write(temporary.script, script)
        write_json(temporary.payload, encode_payload(payload) | {"made": _made()})
        with publishing(intents / payload.uuid):
            temporary.folder.rename(intents / payload.uuid)
    except BaseException:
        shutil.rmtree(temporary.folder, ignore_errors=True)
        raise
    sync_folder(intents)
    return Intent(intents / payload.uuid)


def record_job(intent: Intent, job: str, how: str) -> None:
    """Keep which job came of an intent: how is "sbatch", or "adopted" where its answer was lost."""
    write_json(intent.job_file, {"job": job, "how": how, "at": now()})


def withdraw(intent: Intent, why: str) -> None:
    """Give an intent up for good."""
    write_json(intent.withdrawn_file, {"why": why, "at": now()})


def note_seen(intent: Intent, words: dict[str, str]) -> None:
    """Keep Slurm's last words about ended tasks, as far as the results folder can be written."""
    with contextlib.suppress(OSError):
        write_json(intent.seen_file, intent.seen() | words)


def undecided(intents: Path) -> list[Intent]:
    """Return the intents whose job is unknown and that were not withdrawn."""
    return [i for i in all_intents(intents) if not i.withdrawn() and i.job() is None]


def recover(intents: Iterable[Intent], queue: Queue, accounting: Queue) -> list[str]:
    """Adopt the jobs of undecided intents, withdraw those without one; return a line on each.

    Nothing is withdrawn while the queue cannot be read: absence would mean nothing.
    """
    said = []
    jobs = {**_jobs_by_uuid(accounting.tasks.values()), **_jobs_by_uuid(queue.tasks.values())}
    for intent in intents:
        if intent.uuid in jobs:
            record_job(intent, jobs[intent.uuid], "adopted")
            said.append(
                f"job {jobs[intent.uuid]} adopted: its submission was cut short (intent "
                f"{intent.uuid})"
            )
        elif queue.trouble is None:
            withdraw(intent, "no job carries its name")
            said.append(f"intent {intent.uuid} withdrawn: cut short before Slurm accepted it")
    return said


def _jobs_by_uuid(tasks: Iterable[Task]) -> dict[str, str]:
    return {uuid: task.key.split("_")[0] for task in tasks if (uuid := uuid_in(task.name))}


def _made() -> dict[str, Any]:
    return {"at": now(), "host": socket.gethostname(), "pid": os.getpid()}


def _write(path: Path, text: str) -> None:
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
