"""data.json: what a run was first trained on, written once and compared ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dit_core.errors import DataError
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.metrics import attempt_numbers
from dit_core.records.paths import RunPaths, Store
from dit_core.records.provenance import now

SCHEMA = 1
_SHOWN = 16  # leading digits of a hash in a message


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """The content of a data set: one hash of it, and those of its files."""

    sha256: str
    """The hash that `data.sha256` pins."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of each file below the data's place, and its sha256; none for built-in sets."""


def read_data_record(paths: RunPaths) -> dict[str, Any] | None:
    """Return what a run was first trained on; None for runs from before this was recorded."""
    try:
        record: dict[str, Any] = read_json(paths.data_record)
    except FileNotFoundError:
        return None
    return record


def write_data_record(store: Store, paths: RunPaths, name: str, found: DataIdentity) -> None:
    """Record what a run starts on; the hashes of the files are kept once for all runs."""
    listing = store.data_listing(found.sha256)
    if found.files and not listing.exists():
        write_json(listing, {"schema": SCHEMA, "name": name, "files": dict(found.files)})
    record = {
        "schema": SCHEMA,
        "name": name,
        "sha256": found.sha256,
        "files": len(found.files),
        # Starts of the run that nobody looked at: the hash proves nothing about them.
        "attempts_before": max(attempt_numbers(paths), default=0),
        "recorded_at": now(),
    }
    write_json(paths.data_record, record)


def require_same(store: Store, record: dict[str, Any], found: DataIdentity) -> None:
    """Raise DataError, in one line, where data are not those of a run's record."""
    if record["sha256"] == found.sha256:
        return
    listing = store.data_listing(record["sha256"])
    before = read_json(listing)["files"] if listing.exists() else {}
    what = _difference(before, found.files) or _is_was("it", found.sha256, record["sha256"])
    raise DataError(
        f"data {record['name']!r} changed since this run was first trained: {what} (recorded "
        f"{record['recorded_at']}); restore the file, or give the new data a name of their own "
        "(data.name)"
    )


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return which file differs, and how many do; empty where either list is unknown."""
    if not before or not after:
        return ""
    differ = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    if not differ:
        return ""
    first = differ[0]
    more = f", the first of {len(differ):,} files that differ" if len(differ) > 1 else ""
    if first not in after:
        return f"{first} is gone{more}"
    if first not in before:
        return f"{first} is new{more}"
    return _is_was(first, after[first], before[first]) + more


def _is_was(what: str, now_: str, before: str) -> str:
    return f"{what} is sha256 {now_[:_SHOWN]}…, was {before[:_SHOWN]}…"
