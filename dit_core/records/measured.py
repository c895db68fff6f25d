"""Measured studies that travel with the package: their records, without weights, read-only.

Each is an archive of `ditlab pack` in results/measured/. It is unpacked once into the assets
folder, under the hash of the archive, and read from there like any results folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.records.assets import assets_folder
from dit_core.records.paths import Store
from dit_core.records.plan import study_names
from dit_core.records.upkeep.pack import unpack

_ENDING = ".tar.gz"
# In a checkout they lie in results/measured, in an installed package beside this file.
_CANDIDATES = (
    Path(__file__).parents[2] / "results" / "measured",
    Path(__file__).parent / "measured_archives",
)


def measured_archives() -> dict[str, Path]:
    """Return {study: archive} of the measured studies of this installation."""
    for folder in _CANDIDATES:
        found = {p.name.removesuffix(_ENDING): p for p in sorted(folder.glob(f"*{_ENDING}"))}
        if found:
            return found
    return {}


def measured_store(study: str) -> Store | None:
    """Return the results folder of a measured study; None where none has that name.

    Raises EnvironmentProblem where it cannot be unpacked.
    """
    archive = measured_archives().get(study)
    if archive is None:
        return None
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
    folder = assets_folder() / "measured" / f"{study}-{digest}"
    if not folder.is_dir():
        _publish(archive, folder)
    return Store.at(folder)


def reading_store(study: str, store: Store) -> Store:
    """Return where to read a study from: the results folder, else the measured study of that name.

    A study of the results folder comes first. Raises EnvironmentProblem as `measured_store` does.
    """
    if study in study_names(store):
        return store
    return measured_store(study) or store


def _publish(archive: Path, folder: Path) -> None:
    """Unpack beside the folder and rename: two readers at once leave one whole copy."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        unpack(archive, Store.at(temporary))
        os.rename(temporary, folder)
    except OSError as error:
        if not folder.is_dir():
            raise EnvironmentProblem(
                f"{folder}: the measured study cannot be unpacked ({error.strerror or error}); "
                "name a folder you may write to in DITLAB_ASSETS"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
