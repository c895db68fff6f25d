"""A look at every image of a folder before training: does it decode, and is it like the others?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dit_core.data.readers.images import ImageFolder

LIMIT_S = 60.0  # a folder of millions is looked at in part, evenly
_AT_ONCE = 256


@dataclass(frozen=True)
class Survey:
    """How many images were decoded, their colour modes, and how many are below the wanted size."""

    decoded: int
    modes: Counter[str]
    enlarged: int


def survey(folder: ImageFolder, show: Callable[[int, int], None]) -> Survey:
    """Decode the images in a mixed order until all are done or time is up.

    Raises DataError naming the first that does not decode.
    """
    began = time.monotonic()
    order = np.random.default_rng(0).permutation(len(folder)).tolist()
    modes: Counter[str] = Counter()
    decoded = 0
    enlarged = 0
    with ThreadPoolExecutor() as threads:
        while decoded < len(order) and time.monotonic() - began < LIMIT_S:
            part = order[decoded : decoded + _AT_ONCE]
            for mode, small in threads.map(lambda index: _look(folder, index), part):
                modes[mode] += 1
                enlarged += small
            decoded += len(part)
            show(decoded, len(order))
    return Survey(decoded, modes, enlarged)


def _look(folder: ImageFolder, index: int) -> tuple[str, bool]:
    """Return (mode, enlarged) of an image; DataError where it does not decode."""
    folder.pixels(index)
    with Image.open(folder.path(index)) as image:
        return image.mode, min(image.size) < folder.side
