"""The code as it was at submission: a copy named by its hash, checked before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from dit_core.records.disk.owner import refuse_foreign

PACKAGES = ("dit_core", "slurm", "analysis")
MANIFEST = "SNAPSHOT.json"
_SKIP = {"__pycache__"}


@dataclass(frozen=True, slots=True)
class Code:
    """A copy of the packages: its folder, and the sha256 over names and contents of its files."""

    folder: Path
    sha256: str


class CodeChangedError(Exception):
    """The copy is gone or holds something else than what was submitted."""


def source_root() -> Path:
    """Return the folder that holds the running packages."""
    return Path(__file__).resolve().parents[2]


def take_snapshot(codes: Path, root: Path | None = None) -> Code:
    """Copy the packages below `root` into `codes`/<hash> unless it is there; return the copy.

    Published by rename, so two submitters at once leave one whole copy. A file that changes while
    it is copied makes the copy's hash another one than its name's: it is then taken again.
    """
    root = root or source_root()
    for _ in range(5):
        sha = tree_hash(root)
        target = codes / sha[:16]
        if target.is_dir():
            for path in (target, *_folders_and_files(target)):
                refuse_foreign(path, "the code in it runs as you", above=False)
            if _matches(target, sha):
                return Code(target, sha)
        temporary = codes / f".{sha[:16]}.{uuid.uuid4().hex[:8]}.tmp"
        _copy(root, temporary)
        if tree_hash(temporary) == sha:
            (temporary / MANIFEST).write_text(
                json.dumps({"sha256": sha, "packages": PACKAGES}) + "\n"
            )
            _publish(temporary, target)
            return Code(target, sha)
        shutil.rmtree(temporary)
    raise CodeChangedError(
        f"{root}: the code changes faster than it can be copied; submit again when it is at rest"
    )


def verify(folder: Path, sha256: str) -> None:
    """Check that `folder` still holds the code submitted; raise CodeChangedError if not."""
    if not folder.is_dir():
        raise CodeChangedError(
            f"{folder}: the code this job was submitted with is gone; submit again to take a new "
            "copy"
        )
    if not _matches(folder, sha256):
        raise CodeChangedError(
            f"{folder}: the code differs from what was submitted; remove the folder and submit "
            "again"
        )


def tree_hash(root: Path) -> str:
    """Return the sha256 over path and content of every file of the packages, in order of path."""
    digest = hashlib.sha256()
    for path in _files(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _matches(folder: Path, sha256: str) -> bool:
    try:
        return tree_hash(folder) == sha256
    except OSError:
        return False


def _files(root: Path) -> list[Path]:
    found = []
    for package in PACKAGES:
        for folder, folders, names in os.walk(root / package):
            folders[:] = [f for f in folders if f not in _SKIP and not f.startswith(".")]
            found += [
                Path(folder, n)
                for n in names
                if not n.endswith((".pyc", ".tmp")) and not n.startswith(".")
            ]
    return sorted(found)


def _folders_and_files(root: Path) -> list[Path]:
    files = _files(root)
    return [
        *{folder for file in files for folder in file.parents if root in folder.parents},
        *files,
    ]


def _copy(root: Path, target: Path) -> None:
    for path in _files(root):
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _publish(temporary: Path, target: Path) -> None:
    if target.exists() and not _matches(target, tree_hash(temporary)):
        # Altered since it was taken. Jobs that still point at it would refuse it anyway; keep it
        # out of the way.
        target.rename(target.with_name(f".{target.name}.altered.{uuid.uuid4().hex[:8]}"))
    try:
        temporary.rename(target)
    except OSError:
        shutil.rmtree(temporary)  # another submitter was first with the same content
