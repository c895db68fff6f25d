"""Names of runs: a label of the swept axes only, safe as a file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

LONGEST = 120
UNSAFE = re.compile(r"[^A-Za-z0-9.+_-]+")


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Return path to label: its last word.

    "model.patch" becomes "patch", "objective.name" "objective". The full path stays where two of
    the paths would share a label.
    """
    labels = {path: _label(path) for path in paths}
    shared = Counter(labels.values())
    return {path: label if shared[label] == 1 else path for path, label in labels.items()}


def _label(path: str) -> str:
    section, _, name = path.partition(".")
    return section if name == "name" else name


def word(value: Any) -> str:
    """Return a value as part of a file name."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return (
        UNSAFE.sub("-", repr(value) if isinstance(value, float) else str(value)).strip("-.") or "-"
    )


def run_name(parts: Iterable[str], run_id: str) -> str:
    """Return "size=XS,patch=2"; "base" without parts.

    A name that would be too long is cut and ends with the id.
    """
    name = ",".join(parts) or "base"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}~{run_id[:8]}"


def distinct(named: list[tuple[str, str]]) -> list[str]:
    """Return the names of (name, run id) pairs; one that is not unique gets its run id."""
    shared = Counter(name.lower() for name, _ in named)
    return [name if shared[name.lower()] == 1 else f"{name}~{run_id[:8]}" for name, run_id in named]
