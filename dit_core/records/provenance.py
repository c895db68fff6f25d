"""Where a number comes from: code, versions, machine; never secrets or the environment."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dit_core import __version__

_PACKAGES = ("torch", "numpy", "diffusers", "torch-fidelity", "safetensors")


@functools.cache
def provenance() -> dict[str, Any]:
    """Return what made a record: commit, dirty flag, versions, host.

    Values that cannot be had are null.
    """
    commit, dirty = _git()
    return {
        "ditlab": __version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "host": socket.gethostname(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def now() -> str:
    """Return the wall-clock time as ISO 8601 in UTC: for people; nothing is ever ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> tuple[str | None, bool | None]:
    """Return (commit, has uncommitted changes) of this code; a copy has both in DITLAB_COMMIT."""
    if "DITLAB_COMMIT" in os.environ:
        commit, _, state = os.environ["DITLAB_COMMIT"].partition("+")
        return commit or None, state == "dirty"
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None, None  # an installed copy; a repository further up would not be ours
    try:
        commit = _run("git", "-C", str(folder), "rev-parse", "HEAD")
        return commit.strip() or None, bool(
            _run("git", "-C", str(folder), "status", "--porcelain", "-uno").strip()
        )
    except (OSError, subprocess.SubprocessError):
        return None, None


def _run(*command: str) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL
    )
    return result.stdout


def command_line() -> list[str]:
    """Return the command that this process was started with, the interpreter's path left out."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
