"""Where files lie that serve all studies: fetched data, and what a user puts there once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dit_core.records.assets import assets_folder
from dit_core.study.catalogue.fetched_sets import FETCHED_SETS


def fetched_folder() -> Path:
    """Return the folder that `ditlab fetch` puts its sets into."""
    return assets_folder() / "data"


def place_of(name: str, roots: Mapping[str, str]) -> str | None:
    """Return where a data set lies: what `execution.data_roots` says, else where it was fetched to.

    None where it is neither named nor fetched (a built-in set needs no place).
    """
    if name in roots:
        return roots[name]
    if name not in FETCHED_SETS:
        return None
    folder = fetched_folder() / name
    return str(folder) if folder.is_dir() else None


def no_place(name: str) -> str:
    """Return the line that says how to give a data set a place."""
    if name in FETCHED_SETS:
        return f"data {name!r} is not on this machine; `ditlab fetch {name}` brings it"
    return f"data {name!r} has no place; set execution.data_roots: {{{name}: PATH}}"
