"""A folder of files published whole: hashed into MANIFEST.json, synced, renamed into place.

Neither torch.load nor safetensors notices a flipped bit; the manifest's sizes and sha256 do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dit_core.errors import EnvironmentProblem, RecordError
from dit_core.records.disk.fence import publishing
from dit_core.records.disk.files import TornFile, read_json, sha256_of, sync_folder, write_json

MANIFEST = "MANIFEST.json"


class StorageFull(EnvironmentProblem):
    """The disk or the quota is full; what was there before is untouched."""


class BundleError(RecordError):
    """A bundle is not whole.

    `cause` says what is wrong with `name`, a file in `folder` (None: with the folder itself);
    `altered` whether the file is complete but its contents differ.
    """

    def __init__(
        self, folder: Path, cause: str, name: str | None = None, *, altered: bool = False
    ) -> None:
        self.folder = folder
        self.cause = cause
        self.name = name
        self.altered = altered
        super().__init__(f"{folder if name is None else folder / name}: {cause}")


def publish(
    target: Path, writers: dict[str, Callable[[Path], None]], facts: dict[str, Any]
) -> None:
    """Write each file with its writer, then the manifest, and publish the folder at `target`.

    The manifest also holds `facts`.

    A whole bundle that already lies at `target` is replaced only after the new one is complete.
    Raises StorageFull (temporary files removed, everything else kept) where space runs out.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:12]}.tmp"
    try:
        temporary.mkdir()
        files = {name: _write(temporary / name, writer) for name, writer in writers.items()}
        write_json(temporary / MANIFEST, {"schema": 1, **facts, "files": files})
        sync_folder(temporary)
        with publishing(target):
            _swap_in(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_full(error, target.parent):
            raise StorageFull(
                f"{target.parent}: no space left to write {target.name}; the last good one is "
                "kept; "
                "free some space (`ditlab gc`), then start the same command again, or under Slurm "
                "`ditlab retry` and `ditlab submit`"
            ) from error
        if isinstance(error, OSError):
            why = error.strerror or str(error)
            raise EnvironmentProblem(
                f"{target}: cannot be written ({why}); what was there before is kept"
            ) from error
        raise


def verify(folder: Path, *, sizes_only: bool = False) -> dict[str, Any]:
    """Return the manifest of a bundle after re-hashing every file.

    Raises BundleError naming the first file that differs. `sizes_only` leaves the hashing out:
    enough to say what there is to do, not enough to believe the contents.
    """
    manifest, files = _manifest(folder)
    for name, (expected, digest) in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
        except OSError as error:
            cause = f"named in {MANIFEST} but {error.strerror or 'not readable'}"
            raise BundleError(folder, cause, name) from error
        if size != expected:
            raise BundleError(folder, f"has {size} bytes, its manifest says {expected}", name)
        if not sizes_only and sha256_of(path) != digest:
            cause = "its contents do not give the sha256 of its manifest (altered or bit rot)"
            raise BundleError(folder, cause, name, altered=True)
    return manifest


def _manifest(folder: Path) -> tuple[dict[str, Any], dict[str, tuple[int, str]]]:
    """Return the manifest of a bundle, and size and sha256 of each file it names."""
    try:
        manifest = read_json(folder / MANIFEST)
        files = {
            name: (int(file["size"]), str(file["sha256"]))
            for name, file in manifest["files"].items()
        }
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(folder, f"has no {MANIFEST}") from error
    except TornFile as error:
        raise BundleError(folder, error.cause, MANIFEST) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(folder, "is no manifest", MANIFEST) from error
    return dict(manifest), files


def remove(folder: Path) -> None:
    """Remove a bundle so that no half of it can be taken for whole: it loses its name first."""
    doomed = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:12]}.gone"
    with contextlib.suppress(FileNotFoundError):
        with publishing(folder):
            _rename_away(folder, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _rename_away(folder: Path, doomed: Path) -> None:
    try:
        folder.rename(doomed)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of the lower layer of an overlay cannot be renamed: without its manifest it is
        # no bundle any more.
        (folder / MANIFEST).unlink()
        shutil.rmtree(folder)


def sweep_temporaries(parent: Path) -> None:
    """Remove what killed writers left beside bundles; the caller holds the run's lease."""
    with publishing(parent):
        for name in os.listdir(parent) if parent.is_dir() else ():
            if name.startswith(".") and name.endswith((".tmp", ".gone")):
                shutil.rmtree(parent / name, ignore_errors=True)


def is_full(error: BaseException, folder: Path) -> bool:
    """Return whether `error` comes from a full disk.

    torch hides the errno behind its own words, so they and the free space are looked at too.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    hidden = any(
        mark in text
        for mark in ("No space left", "os error 28", "unexpected pos", "Disk quota exceeded")
    )
    return hidden or (
        not isinstance(error, KeyboardInterrupt | SystemExit) and _free_bytes(folder) < 64 * 1024
    )


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def _write(path: Path, writer: Callable[[Path], None]) -> dict[str, Any]:
    writer(path)
    with open(path, "rb") as file:
        # safetensors makes files that only their owner reads; who may read is the umask's to say
        os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.fsync(file.fileno())
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def _umask() -> int:
    """Return this process's umask without touching it: other threads create files meanwhile."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o077


def _swap_in(temporary: Path, target: Path) -> None:
    if target.exists():
        remove(target)
    os.rename(temporary, target)
    sync_folder(target.parent)
