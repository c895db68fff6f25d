"""Durations as people write them ("400k steps", "30 epochs"), and points of a run ("50%")."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

from dit_core.errors import nearest
from dit_core.study.problems import show

UNITS = ("steps", "images", "epochs")
SCALES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
NUMBER = r"(?P<number>[0-9](?:_?[0-9]){0,18}(?:\.[0-9]{1,18})?(?:e[0-9]{1,2})?)"
DURATION = re.compile(NUMBER + r" ?(?P<scale>[kMG]?) ?(?P<unit>[A-Za-z]+)\Z")
PERCENT = re.compile(NUMBER + r" ?%\Z")
FORMS = '"400k steps", "102.4M images" or "30 epochs"'


class Duration(NamedTuple):
    """An amount of training: so many steps, images or epochs, or a share of the run.

    The unit of a share is "share".
    """

    amount: Fraction
    unit: str
    text: str

    def __str__(self) -> str:
        """Return the text as it was written."""
        return self.text


def parse_duration(value: Any) -> Duration:
    """Return the duration that `value` writes.

    Raises ValueError with the allowed forms for anything else.
    """
    hit = DURATION.match(value) if isinstance(value, str) else None
    if not hit:
        unit = (
            " (a bare number has no unit)"
            if isinstance(value, int | float) and not isinstance(value, bool)
            else ""
        )
        comma = "leave out the comma; " if isinstance(value, str) and "," in value else ""
        raise ValueError(f"given {show(value)}{unit}; {comma}wants {FORMS}")
    unit = hit["unit"] if hit["unit"].endswith("s") else hit["unit"] + "s"
    if unit not in UNITS:
        raise ValueError(f"unknown unit {show(hit['unit'])}{nearest(unit, UNITS)}; wants {FORMS}")
    amount = Fraction(hit["number"].replace("_", "")) * SCALES[hit["scale"]]
    if not 0 < amount < 2**62:
        raise ValueError(f"given {show(value)}; wants more than 0 and less than 2^62")
    if unit != "epochs" and amount.denominator != 1:
        raise ValueError(f"given {show(value)}; wants a whole number of {unit}")
    return Duration(amount, unit, value)


def parse_point(value: Any) -> Duration:
    """Return the point of a run that `value` writes: a duration, "50%" or "end".

    Raises ValueError for anything else.
    """
    if value == "end":
        return Duration(Fraction(1), "share", "end")
    hit = PERCENT.match(value) if isinstance(value, str) else None
    if hit:
        share = Fraction(hit["number"].replace("_", "")) / 100
        if not 0 < share <= 1:
            raise ValueError(f"given {show(value)}; wants more than 0% and at most 100%")
        return Duration(share, "share", value)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "50%", or "end"') from None


def images_of(duration: Duration, batch: int, epoch_images: int) -> int:
    """Return the images seen after `duration`: a whole number of steps.

    Epochs end inside a step and are rounded up to its end. Raises ValueError where a number of
    images is not a whole number of steps: rounding it would train something else than what was
    written.
    """
    if duration.unit == "steps":
        return int(duration.amount) * batch
    if duration.unit == "images" and int(duration.amount) % batch:
        below = int(duration.amount) // batch * batch
        raise ValueError(
            f"{duration.text!r} is not a whole number of steps of batch {batch}; "
            f"nearest are {f'{below} images and ' if below else ''}{below + batch} images"
        )
    return _round_up(duration.amount * (epoch_images if duration.unit == "epochs" else 1), batch)


def point_of(point: Duration, total_images: int, batch: int, epoch_images: int) -> int:
    """Return the images seen at a point of a run, rounded up to the end of a step.

    Raises ValueError beyond the run's end.
    """
    if point.unit == "share":
        return _round_up(point.amount * total_images, batch)
    factor = {"steps": batch, "images": 1, "epochs": epoch_images}[point.unit]
    images = _round_up(point.amount * factor, batch)
    if images > total_images:
        raise ValueError(
            f"{point.text!r} lies beyond the end of the run ({total_images // batch} steps, "
            f"{total_images} images)"
        )
    return images


def _round_up(images: Fraction, batch: int) -> int:
    return max(1, -int(-images // batch)) * batch
