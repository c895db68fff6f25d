"""One archive of a study: its records and its report, every file hashed, to lie beside a paper.

And back again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError, UserError
from dit_core.records.disk.files import refuse_special, write_atomic
from dit_core.records.paths import RunPaths, Store

MANIFEST = "MANIFEST.json"
MAX_FILE = 1 << 30
MAX_FILES = 10_000_000
_NAME = r"[A-Za-z0-9][A-Za-z0-9._+=,-]*"
_ALLOWED = re.compile(
    r"runs/[0-9a-f]{2}/[0-9a-f]{16}/"
    rf"(?:run\.yaml|data\.json|outcome\.json|attempts/\d{{4,}}/{_NAME}|evals/{_NAME}"
    rf"|snapshots/\d{{12,}}/{_NAME})"
    r"|studies/[a-z0-9][a-z0-9._-]{0,63}/"
    rf"(?:study\.yaml|plan\.json|(?:report|figures)/(?:{_NAME}/){{0,2}}{_NAME})"
)


def pack(
    store: Store, study: str, runs: Iterable[str], target: Path, *, weights: bool = False
) -> dict[str, Any]:
    """Write the records of `runs` and the folder of `study` into `target`; return the manifest.

    The same records give the same bytes. With `weights` the EMA snapshots go along; checkpoints and
    logs never do.
    """
    wanted = sorted(runs)
    files = sorted(
        {
            *_study_files(store, study),
            *(f for run in wanted for f in _run_files(store.run(run), weights)),
        }
    )
    manifest: dict[str, Any] = {"schema": 1, "study": study, "runs": wanted, "files": {}}
    refuse_special(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with (
            open(temporary, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in files:
                data = path.read_bytes()
                name = path.relative_to(store.root).as_posix()
                manifest["files"][name] = {
                    "size": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                _add(archive, name, data)
            _add(archive, MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def unpack(source: Path, store: Store) -> dict[str, int]:
    """Add an archive's records to the store; return how many files were new, and how many known.

    Everything is checked before anything is written: names, sizes, hashes, and that no record here
    says otherwise. Raises UserError for a file that is no archive of ditlab, RecordError for a
    damaged one or one that contradicts the store.
    """
    manifest = _checked(source)
    different = [n for n, entry in manifest["files"].items() if _differs(store.root / n, entry)]
    if different:
        shown = ", ".join(different[:3])
        raise RecordError(
            f"{source}: {len(different)} files say otherwise in {store.root} ({shown}): nothing "
            "was written; "
            "unpack into a folder of its own with --results DIR"
        )
    counts = {"new": 0, "there": 0}
    for name, data in _members(source):
        if name == MANIFEST:
            continue
        path = store.root / name
        if path.exists():
            counts["there"] += 1
        else:
            write_atomic(path, data)
            counts["new"] += 1
    return counts


def _run_files(paths: RunPaths, weights: bool) -> Iterator[Path]:
    yield from (p for p in (paths.run_yaml, paths.data_record, paths.outcome) if p.is_file())
    places = [(paths.attempts, "*/*"), (paths.evals, "*")] + (
        [(paths.snapshots, "*/*")] if weights else []
    )
    for folder, pattern in places:
        for path in folder.glob(pattern):
            plain = path.is_file() and not path.is_symlink() and not path.name.startswith(".")
            if plain and not (folder == paths.attempts and path.name.startswith("log")):
                yield path


def _study_files(store: Store, study: str) -> Iterator[Path]:
    for path in store.study(study).rglob("*"):
        inner = path.relative_to(store.study(study)).parts
        if (
            path.is_file()
            and not path.is_symlink()
            and (inner[0] in ("report", "figures") or inner in (("study.yaml",), ("plan.json",)))
            and not any(part.startswith(".") for part in inner)
        ):
            yield path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the archive's files; refuse links, folders and foreign names."""
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            for number, info in enumerate(archive):
                allowed = info.name == MANIFEST or (
                    _ALLOWED.fullmatch(info.name) and ".." not in info.name.split("/")
                )
                if not info.isreg() or not allowed or info.size > MAX_FILE or number > MAX_FILES:
                    raise RecordError(
                        f"{source}: holds {info.name[:80]!r}, which no archive of ditlab does; "
                        "refused"
                    )
                file = archive.extractfile(info)
                yield info.name, file.read() if file else b""
    except FileNotFoundError:
        raise UserError(f"{source}: no such file") from None
    except (tarfile.TarError, EOFError, OSError, gzip.BadGzipFile) as error:
        raise RecordError(
            f"{source}: not a whole archive ({error}); nothing was written"
        ) from error


def _checked(source: Path) -> dict[str, Any]:
    """Return the manifest after holding every file of the archive against it."""
    seen: dict[str, dict[str, Any]] = {}
    manifest: Any = None
    for name, data in _members(source):
        if name == MANIFEST:
            manifest = json.loads(data)
        elif name in seen:
            raise RecordError(f"{source}: holds {name} twice; nothing was written")
        else:
            seen[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise UserError(f"{source}: has no {MANIFEST}: not an archive made by `ditlab pack`")
    if manifest["files"] != seen:
        wrong = sorted(
            n for n in {*seen, *manifest["files"]} if seen.get(n) != manifest["files"].get(n)
        )
        raise RecordError(
            f"{source}: {wrong[0]} is not what its manifest says; nothing was written"
        )
    return manifest


def _differs(path: Path, entry: dict[str, Any]) -> bool:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return bool(hashlib.sha256(data).hexdigest() != entry["sha256"])
