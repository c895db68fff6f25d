"""Why things failed: the same reason is one line with a count, not one line for each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dit_core.study.price.prefixes import counted

_ID = re.compile(r"\b[0-9a-f]{16}\b")
_SHOWN = 4


class Reasons:
    """The reasons that were shown already; ids in them make no difference."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def short(self, reason: str) -> str:
        """Return a reason the first time, and that it is known from then on."""
        same = _ID.sub("", reason)
        if same in self._seen:
            return "for the same reason"
        self._seen.add(same)
        return reason


def grouped(reasons: Mapping[str, str | None], noun: str) -> list[str]:
    """Return one line for each different reason: how many failed of it, and which."""
    groups: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for name, reason in reasons.items():
        text = reason or "unknown"
        same = _ID.sub("", text)
        groups.setdefault(same, []).append(name)
        first.setdefault(same, text)
    return [_line(names, first[same], noun) for same, names in groups.items()]


def _line(names: list[str], reason: str, noun: str) -> str:
    if len(names) == 1:
        return f"{names[0]}: {reason}"
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{counted(len(names), noun)} ({'; '.join(names[:_SHOWN])}{more}): {reason}"
