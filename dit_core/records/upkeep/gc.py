"""What may be removed to free space: spare checkpoints and snapshots, leftovers, logs.

Records (run.yaml, outcome, attempts, curves, evaluations) and plans are never on the list.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk import bundle, lease
from dit_core.records.evals import read_eval
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import RunPaths, Store

KINDS = ("checkpoint", "leftover", "log", "snapshot")
LEFTOVER_S = 3600.0
# (training point, evaluation id) pairs that the plans need of each run
Asked = dict[str, list[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Policy:
    """What to remove: spare checkpoints of unfinished runs; logs and snapshots on request."""

    keep_checkpoints: int = 2
    logs_older_than_days: float | None = None
    snapshots: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to remove: a file or a folder, its kind (of KINDS), its size, and the reason."""

    path: Path
    kind: str
    bytes: int
    why: str


def candidates(store: Store, runs: Iterable[str], policy: Policy, asked: Asked) -> Iterator[Item]:
    """Yield what the policy removes of each run; runs owned by a living process are skipped."""
    for run_id in runs:
        paths = store.run(run_id)
        if lease.holder(paths.lease) is not None:
            continue
        ended = _ended(paths)
        yield from _checkpoints(paths, ended, policy.keep_checkpoints)
        yield from _leftovers(paths)
        if policy.logs_older_than_days is not None and ended:
            yield from _logs(paths, policy.logs_older_than_days)
        if policy.snapshots and ended:
            yield from _snapshots(paths, asked.get(run_id, []))


def remove(item: Item) -> None:
    """Remove one item; a folder is renamed first, so that no half of it is taken for whole."""
    if item.path.is_dir() and not item.path.is_symlink():
        bundle.remove(item.path)
    else:
        with contextlib.suppress(FileNotFoundError):
            item.path.unlink()


def asked_of(plans: Iterable[dict[str, Any]]) -> Asked:
    """Return what all studies' plans need of each run: their snapshots must be kept."""
    found: Asked = {}
    for plan in plans:
        for run in plan["runs"]:
            for eval_id, evaluation in run["evaluations"].items():
                found.setdefault(run["run_id"], []).append(
                    (int(evaluation["images_seen"]), eval_id)
                )
    return found


def _ended(paths: RunPaths) -> bool:
    """Return whether a run has ended for good: DONE or DIVERGED; FAILED may be tried again."""
    try:
        outcome = read_outcome(paths)
    except RecordError:
        return False
    return outcome is not None and outcome.outcome in ("DONE", "DIVERGED")


def _checkpoints(paths: RunPaths, ended: bool, keep: int) -> Iterator[Item]:
    folders = _bundles(paths.checkpoints)
    spare = folders if ended else folders[: max(0, len(folders) - keep)]
    why = "the run has ended" if ended else f"the run keeps the newest {keep}"
    for folder in spare:
        yield Item(folder, "checkpoint", size_of(folder), why)


def _snapshots(paths: RunPaths, asked: list[tuple[int, str]]) -> Iterator[Item]:
    """Yield all snapshots but the last whose evaluations have a record."""
    for folder in _bundles(paths.snapshots)[:-1]:
        wanted = [eval_id for images, eval_id in asked if images == int(folder.name)]
        if all(_recorded(paths, eval_id) for eval_id in wanted):
            yield Item(
                folder,
                "snapshot",
                size_of(folder),
                f"all {len(wanted)} evaluations of it have a record",
            )


def _leftovers(paths: RunPaths) -> Iterator[Item]:
    for parent in (
        paths.root,
        paths.checkpoints,
        paths.snapshots,
        paths.evals,
        *_folders(paths.attempts),
    ):
        for entry in _entries(parent):
            if entry.name.startswith(".") and entry.name.endswith((".tmp", ".gone")):
                path = Path(entry.path)
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_S:
                        yield Item(path, "leftover", size_of(path), "left by a killed writer")


def _logs(paths: RunPaths, days: float) -> Iterator[Item]:
    for folder in _folders(paths.attempts):
        for entry in _entries(folder):
            if entry.name.startswith("log") and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                if time.time() - stat.st_mtime >= days * 86400:
                    yield Item(
                        Path(entry.path),
                        "log",
                        stat.st_size,
                        f"older than {days:g} days, the run has ended",
                    )


def _recorded(paths: RunPaths, eval_id: str) -> bool:
    try:
        return read_eval(paths, eval_id) is not None
    except RecordError:
        return False


def _bundles(parent: Path) -> list[Path]:
    """Return the published bundles of a folder in order of training."""
    return [
        Path(e.path)
        for e in sorted(_entries(parent), key=lambda e: e.name)
        if e.name.isdigit() and e.is_dir()
    ]


def _folders(parent: Path) -> list[Path]:
    return [Path(e.path) for e in _entries(parent) if e.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
