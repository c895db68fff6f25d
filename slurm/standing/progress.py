"""Whether trying again makes sense: attempts without progress, and what a person asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.paths import RunPaths
from dit_core.records.provenance import now

IDLE_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for: "retry" or "cancel", after which attempt, dismissing which tasks."""

    word: str
    attempt: int
    tasks: tuple[str, ...] = ()


def read_wish(paths: RunPaths) -> Wish | None:
    """Return the last wish about a run, or None."""
    try:
        raw = read_json(paths.wish)
        return Wish(raw["wish"], int(raw["attempt"]), tuple(raw["tasks"]))
    except (FileNotFoundError, NotADirectoryError, RecordError, KeyError, TypeError, ValueError):
        return None


def make_wish(paths: RunPaths, word: str, tasks: tuple[str, ...] = ()) -> None:
    """Keep a wish about a run; it stands until the next one."""
    last = max((a["attempt"] for a in read_attempts(paths)), default=0)
    write_json(paths.wish, {"wish": word, "attempt": last, "tasks": list(tasks), "at": now()})


def newest_checkpoint(paths: RunPaths) -> int:
    """Return the images seen at the newest checkpoint, unverified; 0 where there is none."""
    try:
        names = os.listdir(paths.checkpoints)
    except FileNotFoundError:
        return 0
    return max((int(n) for n in names if n.isdigit()), default=0)


def idle_attempts(attempts: list[dict[str, Any]], newest: int, after: int = 0) -> int:
    """Return how many of the last attempts after number `after` ended without progress.

    An attempt made progress when the next one, or the newest checkpoint, stands further than it
    began. Attempts by order, never by clock.
    """
    starts = [a.get("images_start") or 0 for a in attempts if a["attempt"] > after]
    if not starts:
        return 0
    reached = [*starts[1:], max(newest, _last_end(attempts))]
    idle = 0
    for start, end in zip(reversed(starts), reversed(reached), strict=True):
        if end > start:
            break
        idle += 1
    return idle


def out_of_patience(paths: RunPaths) -> str | None:
    """Return why a run shall not be tried again by itself, or None."""
    wish = read_wish(paths)
    attempts = read_attempts(paths)
    idle = idle_attempts(
        attempts, newest_checkpoint(paths), wish.attempt if wish and wish.word == "retry" else 0
    )
    if idle < IDLE_LIMIT:
        return None
    return (
        f"{idle} attempts in a row ended without progress; see `ditlab why`, then `ditlab retry` "
        "tries again"
    )


def _last_end(attempts: list[dict[str, Any]]) -> int:
    return (attempts[-1].get("images_end") or 0) if attempts else 0
