"""A run stays with the data it began with: recorded at its first start, compared ever after."""

from __future__ import annotations

from collections.abc import Mapping

from dit_core.data.identity import identity_of
from dit_core.data.places import place_of
from dit_core.records.data_record import read_data_record, require_same, write_data_record
from dit_core.records.paths import RunPaths
from dit_core.study.science.data import Data


def require_same_data(
    paths: RunPaths, data: Data, roots: Mapping[str, str], *, record: bool = False
) -> None:
    """Raise DataError, in one line, where data are not those the run was first trained on.

    `record` writes them down where nothing was recorded yet: at the start of a training alone,
    for an evaluation cannot know what an older run was trained on. Data that are not on this
    machine are not looked at: many evaluations need none.
    """
    known = read_data_record(paths)
    if known is None and not record:
        return
    found = identity_of(data, place_of(data.name, roots), paths.store)
    if found is None:
        return
    if known is None:
        write_data_record(paths.store, paths, data.name, found)
    else:
        require_same(paths.store, known, found)
