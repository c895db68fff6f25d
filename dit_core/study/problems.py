"""Problems of a study, each with file, line and key path, collected before any is raised."""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple

from dit_core.errors import StudyError, nearest

SHOWN = 60
LISTED = 200


class Place(NamedTuple):
    """A line of a study file."""

    file: str
    line: int

    def __str__(self) -> str:
        """Return "studies/x.yaml:12"."""
        return f"{self.file}:{self.line}"


class Fault(NamedTuple):
    """What is wrong with a section of a run or with an evaluation, and the fields to look at."""

    text: str
    fields: tuple[str, ...] = ()


class Problems:
    """The problems found so far; `raise_any` ends the work with all of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, place: Place, path: str, text: str) -> None:
        """Note one problem at `path` ("model.size", may be empty)."""
        line = f"{place}: {path}: {text}" if path else f"{place}: {text}"
        if line not in self.lines[-LISTED:]:
            self.lines.append(line)

    def raise_any(self) -> None:
        """Raise StudyError with every problem, one line each, if there is one."""
        if self.lines:
            rest = len(self.lines) - LISTED
            raise StudyError(
                [*self.lines[:LISTED], *([f"... and {rest} more problems"] if rest > 0 else [])]
            )


def show(value: Any) -> str:
    """Return the value as the user wrote it: one line of at most 60 characters, escaped."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        text = "a mapping {" + ", ".join(map(str, value)) + "}"
    elif isinstance(value, list | tuple):
        text = (
            "a list ["
            + ", ".join(show(v) for v in value[:5])
            + (", ..." if len(value) > 5 else "")
            + "]"
        )
    else:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 4] + "...'"


def strange_letter(text: str) -> str:
    """Return " (holds U+0430 CYRILLIC …)" for the first character outside ASCII, or nothing."""
    for letter in text:
        if ord(letter) > 126 or ord(letter) < 32:
            return f" (holds U+{ord(letter):04X} {unicodedata.name(letter, 'CONTROL CHARACTER')})"
    return ""


def unknown_key(key: str, allowed: list[str]) -> str:
    """Return the text for an unknown key, with the nearest one and all that are allowed."""
    given = f"unknown key {show(key)}{strange_letter(key)}"
    return f"{given}{nearest(key, allowed)}; allowed: {', '.join(allowed)}"
