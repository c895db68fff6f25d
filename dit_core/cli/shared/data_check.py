"""The user's own data, read and decoded once before anything is trained on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dit_core.data.places import place_of
from dit_core.study.price.prefixes import counted
from dit_core.study.science.data import BUILT_IN, Data
from dit_core.study.science.run import Run

_SHOWN = 5


def check_data(runs: list[Run], say: Callable[[str], None]) -> None:
    """Read each data set of the user's own; say what is allowed and yet rarely meant.

    Raises DataError or EnvironmentProblem, one line, for what a training would fail on.
    """
    from dit_core.data.load import load_data

    own = dict.fromkeys(
        (r.science.data, place_of(r.science.data.name, r.execution.data_roots)) for r in runs
    )
    for data, root in own:
        if data.name in BUILT_IN:
            continue
        say(f"reading data {data.name!r} once before anything starts")
        found = load_data(data, root)
        for line in [*_empty_classes(found.labels, data), *_decoded(found, data)]:
            say(f"warning: data {data.name!r}: {line}")


def _empty_classes(labels: np.ndarray, data: Data) -> list[str]:
    counts = np.bincount(labels, minlength=data.classes)
    empty = [str(c) for c in np.flatnonzero(counts == 0)]
    if not empty:
        return []
    more = ", …" if len(empty) > _SHOWN else ""
    what = "class" if len(empty) == 1 else "classes"
    return [f"{len(empty)} {what} without samples: {', '.join(empty[:_SHOWN])}{more}"]


def _decoded(found: Any, data: Data) -> list[str]:
    """Decode the images of a folder; return what is odd about them."""
    from dit_core.data.readers.images import ImageFolder
    from dit_core.data.readers.survey import survey

    if not isinstance(found, ImageFolder):
        return []
    from dit_core.cli.shared.bar import bar

    with bar("decoding") as show:
        seen = survey(found, show)
    lines = []
    if len(seen.modes) > 1:
        modes = ", ".join(f"{number:,} {mode}" for mode, number in seen.modes.most_common())
        lines.append(f"mixed colour modes ({modes}), all read as {_COLOURS[data.channels]}")
    if seen.enlarged:
        lines.append(
            f"{counted(seen.enlarged, 'image')} smaller than {data.height}x{data.width}, enlarged"
        )
    if seen.decoded < len(found):
        lines.append(f"{seen.decoded:,} of {len(found):,} images were decoded in the time allowed")
    return lines


_COLOURS = {1: "grey", 3: "colour"}
