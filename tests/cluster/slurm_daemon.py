"""Starting daemons and waiting for what they do."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from debian_packages import which


def until(condition, seconds: float, *, fail: bool = True, every: float = 0.05) -> bool:
    """Return True as soon as `condition()` holds; after `seconds` return False, or raise
    TimeoutError with `fail`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            if fail:
                raise TimeoutError(
                    f"waited {seconds} s for {getattr(condition, '__name__', condition)}"
                )
            return False
        time.sleep(every)
    return True


def start_daemon(program: str, *args: str, env: dict[str, str] | None = None) -> None:
    """Start a program that puts itself into the background; raise RuntimeError with its words where
    it fails.
    """
    path = which(program)
    none = subprocess.DEVNULL
    result = subprocess.run(
        [str(path), *args],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=none,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(
            f"{program} did not start: {result.stderr.strip() or result.stdout.strip()}"
        )


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
