"""What changed since the index was built, by times and sizes alone.

Folder times for ended runs; sizes and times of every file for live ones.

Records are published by rename, which moves the time of their folder; only curves grow in place,
and only while a run lives. So an ended run is three looks at the file system however many
evaluations it has.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from dit_core.records.paths import Store

RACY_NS = 2_000_000_000
Signature = str


def run_ids(store: Store) -> list[str]:
    """Return the names of all run folders, sorted; anything else under runs/ is passed over."""
    found: list[str] = []
    for bucket in _folders(store.runs):
        if len(bucket) == 2:
            found += [name for name in _folders(store.runs / bucket) if name[:2] == bucket]
    return sorted(found)


def signature(folder: str, *, settled: bool) -> Signature:
    """Return a text that changes with a run's folder: times, for a live run also file sizes.

    Empty where the folder is gone.
    """
    parts: list[str] = []
    for name in ("", "/attempts", "/evals"):
        try:
            parts.append(str(os.stat(folder + name).st_mtime_ns))
        except OSError:
            parts.append("-")
    if parts[0] == "-":
        return ""
    if not settled:
        parts += _live(f"{folder}/attempts") + _live_evals(f"{folder}/evals")
    return " ".join(parts)


def newest(sign: Signature) -> int:
    """Return the latest time in a signature, ns."""
    return max((int(word.rpartition(":")[2]) for word in sign.split() if word != "-"), default=0)


def server_time(folder: Path) -> int:
    """Return the file system's own clock, ns, which may differ from this host's."""
    probe = folder / f".clock-{uuid.uuid4().hex[:8]}"
    probe.touch()
    try:
        return probe.stat().st_mtime_ns
    finally:
        probe.unlink(missing_ok=True)


def study_files(store: Store) -> dict[str, str]:
    """Return {path of plan.json: "size:mtime_ns"} of all studies."""
    found = {}
    for name in _folders(store.studies):
        path = store.plan(name)
        try:
            stat = path.stat()
        except OSError:
            continue
        found[str(path)] = f"{stat.st_size}:{stat.st_mtime_ns}"
    return found


def _live(attempts: str) -> list[str]:
    parts = []
    for name in sorted(_folders(attempts)):
        for entry in sorted(_files(f"{attempts}/{name}")):
            parts.append(f"{name}/{entry}")
    return parts


def _live_evals(evals: str) -> list[str]:
    return sorted(_files(evals))


def _files(folder: str) -> list[str]:
    """Return "name:size:mtime_ns" of a folder's plain files, without blanks in the names."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    stat = entry.stat()
                    found.append(
                        f"{entry.name.replace(' ', '_')}:{stat.st_size}:{stat.st_mtime_ns}"
                    )
    except OSError:
        return []
    return found


def _folders(folder: str | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError:
        return []
