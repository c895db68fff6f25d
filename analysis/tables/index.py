"""The index: results/index/, Parquet tables rebuilt from the records, a little at a time.

Deleting it loses nothing.

It is a stack of layers. The first holds every run; an update writes one more with the runs that
changed, and a run's rows are those of the highest layer that holds it. `manifest.json`, replaced by
rename, names the parts of all layers, so a reader sees one whole state or the next. Two updates at
once both publish a right state and the later one stays.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from analysis.tables import members
from analysis.tables.columns import tables
from analysis.tables.index_workers import Progress, build_in_processes
from analysis.tables.parquet_parts import (
    TABLES,
    IndexDamagedError,
    Part,
    build_parts,
    check_part,
    open_parts,
    write_part,
)
from analysis.tables.scan import run_ids, server_time, signature, study_files
from dit_core.records.disk.files import write_json
from dit_core.records.paths import Store

FORMAT = 2
BATCH = 2500
MANY = 1500  # below this many runs a second process costs more than it saves
MAX_LAYERS = 8
SMALL = 5000  # up to this many runs all layers melt into one
KEEP_S = 900.0


@dataclass
class Index:
    """One published state: its folder, the parts of its layers, the runs each layer replaces."""

    store: Store
    folder: Path
    layers: list[list[Part]] = field(default_factory=list)
    replaces: list[list[str]] = field(default_factory=list)
    members: list[Part] = field(default_factory=list)
    studies: dict[str, str] = field(default_factory=dict)

    def hidden(self, layer: int) -> list[str]:
        """Return the runs of a layer that a higher one replaces."""
        return sorted({run for above in self.replaces[layer + 1 :] for run in above})

    def parts(self) -> list[Part]:
        """Return all parts of the state."""
        return [part for layer in self.layers for part in layer] + self.members

    def state(self) -> dict[str, tuple[bool, str]]:
        """Return {run id: (settled, signature)} as the index knows the runs."""
        known: dict[str, tuple[bool, str]] = {}
        for replaced, layer in zip(self.replaces, self.layers, strict=True):
            for run in replaced:
                known.pop(run, None)
            rows = open_parts(self.folder, layer, "state").to_table().to_pydict()
            known.update(
                zip(
                    rows["run_id"],
                    zip(rows["settled"], rows["signature"], strict=True),
                    strict=True,
                )
            )
        return known


def update(store: Store, *, rebuild: bool = False, progress: Progress | None = None) -> Index:
    """Bring the index up to date with the records and return its state.

    `progress(done, of)` counts runs that are read.

    A folder that cannot be written is indexed into a temporary one, which ends with the process.
    """
    folder = _writable(store)
    for _ in range(3):
        old = Index(store, folder) if rebuild else load(store, folder)
        try:
            new = _advance(old, progress)
            for part in new.parts():
                check_part(folder, part)
        except IndexDamagedError:
            rebuild = True
            continue
        if new is not old:
            _publish(new)
        return new
    raise IndexDamagedError(
        f"{folder}: parts vanish while the index is built; is another program deleting them?"
    )


def load(store: Store, folder: Path | None = None) -> Index:
    """Return the published state as it is on disk; an empty one where none can be read."""
    folder = folder or store.index
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        if found["format"] != FORMAT or found["columns"] != _dictionary():
            return Index(store, folder)
        return Index(
            store, folder, found["layers"], found["replaces"], found["members"], found["studies"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Index(store, folder)


def _advance(old: Index, progress: Progress | None) -> Index:
    """Return the state that follows `old`, its new parts written; `old` if nothing changed."""
    now = server_time(old.folder)
    known = old.state()
    changed, gone = _changes(old.store, known)
    plans = study_files(old.store)
    if not changed and not gone and plans == old.studies and old.layers:
        return old
    new = Index(old.store, old.folder, list(old.layers), list(old.replaces), old.members, plans)
    if changed or gone or not old.layers:
        new.layers.append(_build(old.store, changed, old.folder, now, progress))
        new.replaces.append(sorted({*gone, *(run for run in changed if run in known)}))
        if len(new.layers) > MAX_LAYERS:
            _merge(new)
    if plans != old.studies or not old.layers:
        new.members = members.build(old.store, plans, old.folder)
    return new


def _changes(store: Store, known: dict[str, tuple[bool, str]]) -> tuple[list[str], list[str]]:
    """Return (runs to read again, runs whose folder is gone)."""
    there = run_ids(store)
    base = str(store.runs)
    changed = []
    for run in there:
        settled, sign = known.get(run, (False, ""))
        current = signature(f"{base}/{run[:2]}/{run}", settled=settled)
        if not sign or current != sign:
            changed.append(run)
    return changed, sorted(known.keys() - set(there))


def _build(
    store: Store, ids: list[str], folder: Path, now: int, progress: Progress | None
) -> list[Part]:
    """Return the parts of a layer with the runs `ids`, read on all cores."""
    batches = [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]
    if len(ids) < MANY:
        parts = [part for batch in batches for part in build_parts(store, batch, folder, now)]
        if progress:
            progress(len(ids), len(ids))
        return parts
    return build_in_processes(store, batches, folder, now, progress)


def _merge(index: Index) -> None:
    """Merge the layers above the first; the first too where a fifth of it is outdated."""
    first = index.layers[0]
    runs = sum(p["rows"] for p in first if p["table"] == "state")
    hidden = index.hidden(0)
    above = _melt(index, range(1, len(index.layers)))
    if runs > SMALL and len(hidden) * 5 < runs:
        index.layers = [first, above]
        index.replaces = [[], hidden]
    elif runs > SMALL:
        kept = [_without(index.folder, part, hidden) for part in first]
        index.layers = [kept + above]
        index.replaces = [[]]
    else:
        index.layers = [_melt(index, range(len(index.layers)))]
        index.replaces = [[]]


def _melt(index: Index, which: range) -> list[Part]:
    """Return one part per table with the visible rows of some layers."""
    parts = []
    for table in TABLES:
        found = []
        for number in which:
            layer = index.layers[number]
            if any(p["table"] == table for p in layer):
                data = open_parts(index.folder, layer, table)
                found.append(
                    data.to_table(filter=~ds.field("run_id").isin(_strings(index.hidden(number))))
                )
        if found:
            merged = pa.concat_tables(found, promote_options="default")
            parts.append(
                write_part(
                    index.folder, table, merged.sort_by("run_id") if table != "metrics" else merged
                )
            )
    return parts


def _without(folder: Path, part: Part, hidden: list[str]) -> Part:
    """Return a part without some runs: itself where it holds none of them."""
    data = open_parts(folder, [part], part["table"])
    kept = data.to_table(filter=~ds.field("run_id").isin(_strings(hidden)))
    return part if kept.num_rows == part["rows"] else write_part(folder, part["table"], kept)


def _strings(values: list[str]) -> pa.Array:
    return pa.array(values, pa.string())


def _publish(index: Index) -> None:
    """Replace the manifest, then drop parts that no state of the last KEEP_S seconds names."""
    manifest = {
        "format": FORMAT,
        "columns": _dictionary(),
        "layers": index.layers,
        "replaces": index.replaces,
        "members": index.members,
        "studies": index.studies,
    }
    write_json(index.folder / "manifest.json", manifest)
    named = {part["file"] for part in index.parts()} | {"manifest.json"}
    with os.scandir(index.folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name not in named and time.time() - entry.stat().st_mtime > KEEP_S:
                    os.unlink(entry.path)


@functools.cache
def _dictionary() -> str:
    """Return a hash of the tables' columns: an index with other columns is built anew."""
    text = json.dumps({t: [(c.name, c.type) for c in cs] for t, cs in tables().items()})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _elsewhere() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ditlab-index-")


def _writable(store: Store) -> Path:
    """Return the index folder, or a temporary one where the results cannot be written."""
    if store.root.is_dir():
        try:
            store.index.mkdir(exist_ok=True)
            server_time(store.index)
            return store.index
        except OSError:
            pass
    folder = Path(_elsewhere().name) / hashlib.sha256(str(store.root).encode()).hexdigest()[:16]
    if not folder.exists():
        folder.mkdir()
        with contextlib.suppress(
            OSError
        ):  # what others have indexed is a start; a torn copy is found and built anew
            for part in [*load(store).parts(), {"file": "manifest.json"}]:
                shutil.copy2(store.index / part["file"], folder / part["file"])
    return folder
