"""Hashes of data files, kept beside the results: a file is read again only where it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.files import read_json, sha256_of, write_json
from dit_core.records.paths import Store

SCHEMA = 1
# A file written within a clock's tick of its hashing could change again without a new time.
SETTLED_S = 2.0
_THREADS = 8
Stamp = list[int]


def file_hashes(store: Store, place: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the sha256 of each file `names` below `place`, from the kept ones where unchanged.

    Unchanged is a file of the same size, modification and inode-change time; the last one cannot be
    set back, so a copy that keeps times is read again. Raises OSError for a file that is not there.
    """
    kept = _kept(store, place)
    stamps = {name: _stamp(place / name) for name in names}
    known = {n: kept[n][1] for n in names if n in kept and kept[n][0] == stamps[n]}
    todo = [name for name in names if name not in known]
    if not todo and kept.keys() == stamps.keys():
        return known
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        digests = pool.map(lambda name: sha256_of(place / name), todo)
        known |= dict(zip(todo, digests, strict=True))
    _keep(store, place, stamps, known)
    return {name: known[name] for name in names}


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _kept(store: Store, place: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        record: dict[str, Any] = read_json(store.data_files(place))
        return {name: (row[:3], row[3]) for name, row in record["files"].items()}
    except (FileNotFoundError, RecordError, KeyError, TypeError, IndexError, AttributeError):
        return {}  # it only saves time


def _keep(store: Store, place: Path, stamps: dict[str, Stamp], known: dict[str, str]) -> None:
    settled_ns = (time.time() - SETTLED_S) * 1e9
    rows = {
        name: [*stamp, known[name]] for name, stamp in stamps.items() if max(stamp[1:]) < settled_ns
    }
    write_json(store.data_files(place), {"schema": SCHEMA, "place": str(place), "files": rows})
