"""The claim of one process on one run, so that two copies that start together do not both train it.

A lease is held while its process lives (same host) or its heartbeat moves (another host). Every
take-over raises its generation, under which alone `fence` lets a process publish.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from dit_core.errors import DitlabError, RecordError
from dit_core.records.disk import fence
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.disk.guard import Guard, guarded
from dit_core.records.provenance import now

BEAT_S = 10.0
STALE_S = 60.0


class LeaseHeld(DitlabError):
    """Another living process works on the run; `owner` is its lease."""

    def __init__(self, path: Path, owner: dict[str, Any]) -> None:
        self.owner = owner
        job = f", job {owner['job']}" if owner.get("job") else ""
        super().__init__(
            f"{path.parent.name} is owned by process {owner.get('pid')} on {owner.get('host')}{job}"
        )


class Lease(fence.Claim):
    """A held lease; its heartbeat runs in a thread until `release`."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        super().__init__(path, record["generation"])
        self._record = record
        self._stop = threading.Event()
        fence.register(self)
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")
        self._thread.start()

    def release(self) -> None:
        """Stop the heartbeat and free the run, unless another process has taken it over."""
        self._stop.set()
        self._thread.join()
        fence.forget(self)
        gone = (FileNotFoundError, RecordError, fence.Superseded)
        with contextlib.suppress(*gone), self.still_held():
            if read_json(self.path)["owner"] == self._record["owner"]:
                self.path.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                with self.still_held():
                    self._record["beat"] += 1
                    write_json(self.path, self._record)
            except fence.Superseded:
                return
            except (OSError, DitlabError):
                # a full disk or a stale handle must not end a training; the next beat tries again
                continue


def acquire(path: Path, *, job: str | None = None, wait_s: float = STALE_S) -> Lease:
    """Claim the run whose lease file is `path`; raise LeaseHeld where a living process has it.

    A lease from another host is watched for up to `wait_s` seconds: if its heartbeat does not move
    in that time, by this host's own clock, its owner is taken for dead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "owner": uuid.uuid4().hex,
        "generation": 0,
        "host": socket.gethostname(),
        "space": _space(),
        "pid": os.getpid(),
        "pid_start": process_start(os.getpid()),
        "job": job,
        "beat": 0,
        "at": now(),
    }
    deadline = time.monotonic() + wait_s
    seen: tuple[str, int] | None = None
    while True:
        with guarded(path) as held:
            owner = holder(path)
            if owner is None or (seen == _mark(owner) and time.monotonic() >= deadline):
                return _take(path, record, held)
        if is_here(owner) or (seen is not None and seen != _mark(owner)):
            raise LeaseHeld(path, owner)
        seen = _mark(owner)
        time.sleep(min(1.0, wait_s / 10))


def _take(path: Path, record: dict[str, Any], held: Guard) -> Lease:
    """Write the lease under a generation above every one before it."""
    before = 0
    with contextlib.suppress(OSError, RecordError, AttributeError, TypeError, ValueError):
        before = int(read_json(path).get("generation", 0))
    record["generation"] = max(before, held.generation) + 1
    held.raise_to(record["generation"])
    write_json(path, record)
    return Lease(path, record)


def is_here(owner: dict[str, Any]) -> bool:
    """Return whether a lease's process would be visible to this one: host, boot, and namespace.

    Containers may share a host's name and not its processes.
    """
    mine = process_start(os.getpid()) or ""
    theirs = str(owner.get("pid_start") or mine)
    same_boot = theirs.partition(":")[0] == mine.partition(":")[0]
    same_space = owner.get("space", _space()) == _space()
    return owner["host"] == socket.gethostname() and same_boot and same_space


def holder(path: Path) -> dict[str, Any] | None:
    """Return the lease at `path`; None without one or if its process on this host has ended."""
    try:
        owner = read_json(path)
    except (FileNotFoundError, NotADirectoryError, RecordError):
        return None  # a torn lease names no owner who could be asked
    if not isinstance(owner, dict) or not {"owner", "host", "pid", "beat"} <= owner.keys():
        return None
    if is_here(owner) and process_start(owner["pid"]) != owner.get("pid_start"):
        return None
    return owner


def process_start(pid: int) -> str | None:
    """Return a mark of a process (boot id and start tick); None where no such process lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if stat[0] in "ZX" else f"{boot}:{stat[19]}"


def _space() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _mark(owner: dict[str, Any]) -> tuple[str, int]:
    return owner["owner"], owner["beat"]
