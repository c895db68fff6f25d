"""The lock beside a claim, held for the length of a rename; in it stands the claim's generation.

Every take-over raises the generation. Where the file system has no locks, a file that only one can
create does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.records.disk.clock import server_now

WAIT_S = 60.0
_PAUSE_S = 0.01
_LONGEST = 256  # bytes of a guard's text


class LockStuck(EnvironmentProblem):
    """A lock that is held for a rename's time has been held for a lease's time."""


@dataclass
class Guard:
    """A held lock: the generation of the claim it belongs to."""

    descriptor: int
    generation: int

    def raise_to(self, generation: int) -> None:
        """Write a new generation down."""
        self.generation = generation
        self.sign()

    def sign(self) -> None:
        """Write down who holds the lock, for those who wait for it in vain."""
        text = f"{self.generation} {socket.gethostname()} {os.getpid()}\n"
        # A full disk must not stop a claim: the text is as long as before or shorter than a block.
        os.pwrite(self.descriptor, text.encode().ljust(_LONGEST), 0)


@contextlib.contextmanager
def guarded(path: Path, *, create: bool = True) -> Iterator[Guard]:
    """Hold the lock of the claim at `path`.

    Raises FileNotFoundError without `create` where there was never a claim, and LockStuck naming
    the holder where it does not come free within a lease's time.
    """
    lock = path.with_name(f".{path.name}.guard")
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(lock, flags, 0o666)
    marker = None
    try:
        if not _locked(descriptor, lock):
            marker = _mark(lock)
        held = Guard(descriptor, _generation(descriptor))
        held.sign()
        yield held
    finally:
        os.close(descriptor)
        if marker is not None:
            marker.unlink(missing_ok=True)


def _locked(descriptor: int, lock: Path) -> bool:
    """Lock a file; return False where the file system has no locks."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _stuck(lock, descriptor) from None
        except OSError:
            return False
        time.sleep(_PAUSE_S)


def _stuck(lock: Path, descriptor: int) -> LockStuck:
    words = os.pread(descriptor, _LONGEST, 0).decode(errors="replace").split()
    who = f"process {words[2]} on {words[1]}" if len(words) == 3 else "a process"
    return LockStuck(
        f"{lock}: {who} has held this lock for {WAIT_S:g} s and does not go on (stopped, or its "
        "file system hangs); continue it (kill -CONT) or end it, then start the same command again"
    )


def _generation(descriptor: int) -> int:
    words = os.pread(descriptor, _LONGEST, 0).split()
    return int(words[0]) if words and words[0].isdigit() else 0


def _mark(lock: Path) -> Path:
    """Create the file that stands for a lock, once it is not there or long given up."""
    marker = lock.with_suffix(".held")
    mine = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _break_stale(marker)
        else:
            os.write(descriptor, mine.encode())
            os.close(descriptor)
            return marker
        if time.monotonic() > deadline + WAIT_S:
            raise LockStuck(f"{marker}: has been there for {2 * WAIT_S:g} s; remove it")
        time.sleep(_PAUSE_S)


def _break_stale(marker: Path) -> None:
    """Remove a mark that is older than any rename takes, by the file server's clock."""
    with contextlib.suppress(FileNotFoundError):
        found = marker.stat()
        if server_now(marker.parent) - found.st_mtime < WAIT_S:
            return
        aside = marker.with_name(f"{marker.name}.{uuid.uuid4().hex[:8]}.tmp")
        marker.rename(aside)
        if aside.stat().st_ino != found.st_ino:  # another one broke it first: that mark is fresh
            with contextlib.suppress(FileExistsError):
                os.link(aside, marker)
        aside.unlink()
