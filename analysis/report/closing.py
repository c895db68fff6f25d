"""What a study's last run ended with, kept while its records stay as they are.

Looking again costs no fits. Nothing heavy is imported here, so that a finished study answers at
once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import RecordError
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.paths import Store
from dit_core.study.science.run import Run

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LastWords:
    """The lines that were said, and the files that were written."""

    lines: tuple[str, ...]
    written: tuple[Path, ...]


def state_of(store: Store, study: str, runs: Iterable[Run]) -> str:
    """Return a word that changes with the study's file, its records and the current folder."""
    digest = hashlib.sha256(f"{_FORMAT} {Path.cwd()} {store.root}".encode())
    digest.update(store.study_yaml(study).read_bytes())
    for run in runs:
        paths = store.run(run.run_id)
        for path in (paths.outcome, *sorted(paths.evals.glob("*.json"))):
            try:
                found = os.stat(path)
            except FileNotFoundError:
                continue
            digest.update(
                f"{path.name} {run.run_id} {found.st_size} {found.st_mtime_ns}\n".encode()
            )
    return digest.hexdigest()


def recall(store: Store, study: str, state: str) -> LastWords | None:
    """Return what was said in this state of the study, None for another or where a file is gone."""
    try:
        kept = read_json(_path(store, study))
        found = LastWords(tuple(map(str, kept["lines"])), tuple(map(Path, kept["written"])))
        return (
            found
            if kept["state"] == state and all(path.is_file() for path in found.written)
            else None
        )
    except (RecordError, OSError, KeyError, TypeError):
        return None


def keep(store: Store, study: str, state: str, words: LastWords) -> None:
    """Keep what was said for the next time."""
    written = [str(path) for path in words.written]
    write_json(
        _path(store, study), {"state": state, "lines": list(words.lines), "written": written}
    )


def _path(store: Store, study: str) -> Path:
    return store.study(study) / "report" / "last-words.json"
