"""The claim of one process on one run, so that two copies that start together do not both train it.

The lease is a courtesy that saves work; safety comes from attempts having one writer and from
published files being whole. A lease is held while its process lives (same host) or its heartbeat
moves (another host).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dit_core.errors import DitlabError, RecordError
from dit_core.records.disk.files import read_json, write_json
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


class Lease:
    """A held lease; its heartbeat runs in a thread until `release`."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self._path = path
        self._record = record
        self._stop = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")
        self._thread.start()

    def release(self) -> None:
        """Stop the heartbeat and free the run, unless another process has taken it over."""
        self._stop.set()
        self._thread.join()
        with _guard(self._path), contextlib.suppress(FileNotFoundError, RecordError):
            if read_json(self._path)["owner"] == self._record["owner"]:
                self._path.unlink()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                with _guard(self._path):
                    if read_json(self._path)["owner"] != self._record["owner"]:
                        self.lost = True
                        return
                    self._record["beat"] += 1
                    write_json(self._path, self._record)
            except FileNotFoundError:
                self.lost = True
                return
            except (OSError, RecordError):
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
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pid_start": process_start(os.getpid()),
        "job": job,
        "beat": 0,
        "at": now(),
    }
    deadline = time.monotonic() + wait_s
    seen: tuple[str, int] | None = None
    while True:
        with _guard(path):
            owner = holder(path)
            if owner is None or (seen == _mark(owner) and time.monotonic() >= deadline):
                write_json(path, record)
                return Lease(path, record)
        if owner["host"] == record["host"] or (seen is not None and seen != _mark(owner)):
            raise LeaseHeld(path, owner)
        seen = _mark(owner)
        time.sleep(min(1.0, wait_s / 10))


def holder(path: Path) -> dict[str, Any] | None:
    """Return the lease at `path`; None without one or if its process on this host has ended."""
    try:
        owner = read_json(path)
    except (FileNotFoundError, NotADirectoryError, RecordError):
        return None  # a torn lease names no owner who could be asked
    if not isinstance(owner, dict) or not {"owner", "host", "pid", "beat"} <= owner.keys():
        return None
    if owner["host"] == socket.gethostname() and process_start(owner["pid"]) != owner.get(
        "pid_start"
    ):
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


def _mark(owner: dict[str, Any]) -> tuple[str, int]:
    return owner["owner"], owner["beat"]


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Serialise readers and writers of one lease.

    Where the file system has no locks, the rename alone must do.
    """
    descriptor = os.open(
        path.with_name(f".{path.name}.guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
    )
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
