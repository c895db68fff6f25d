"""attempts/<n>/attempt.json: one start of a run on one host, with one writer.

Creating its folder claims it.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.metrics import MetricsWriter, attempt_numbers
from dit_core.records.paths import RunPaths
from dit_core.records.provenance import now, provenance

SCHEMA = 1


@dataclass
class Attempt:
    """A running attempt: its number, its record and its metrics file."""

    paths: RunPaths
    number: int
    record: dict[str, Any]
    metrics: MetricsWriter
    started_monotonic: float = field(default_factory=time.monotonic)

    def note(self, **facts: Any) -> None:
        """Add facts to the record and publish it."""
        self.record.update(facts)
        write_json(self.paths.attempt_record(self.number), self.record, sealed=True)

    def end(self, how: str, *, images_seen: int, reason: str | None = None) -> None:
        """Close the attempt: `how` is done, diverged, stopped, failed or lost."""
        self.metrics.close()
        self.note(
            end=how,
            reason=reason,
            images_end=images_seen,
            ended_at=now(),
            seconds=round(time.monotonic() - self.started_monotonic, 3),
        )


def start_attempt(paths: RunPaths, *, device: str, job: str | None = None) -> Attempt:
    """Claim the next free number and return the attempt; numbers, never clocks, order attempts."""
    number = max(attempt_numbers(paths), default=0)
    while True:
        number += 1
        try:
            paths.attempt(number).mkdir(parents=True)
            break
        except FileExistsError:
            continue
    record = {
        "schema": SCHEMA,
        "attempt": number,
        "run_id": paths.root.name,
        "pid": os.getpid(),
        "job": job,
        "device": device,
        "started_at": now(),
        "ended_at": None,
        "end": None,
        "reason": None,
        "images_start": None,
        "images_end": None,
        "seconds": None,
        "events": [],
        "provenance": provenance(),
    }
    attempt = Attempt(paths, number, record, MetricsWriter(paths.metrics(number)))
    attempt.note()
    return attempt


class _SilentAttempt(Attempt):
    """An attempt of which nothing is written."""

    def note(self, **facts: Any) -> None:
        """Keep facts in memory only."""
        self.record.update(facts)


def silent_attempt(paths: RunPaths) -> Attempt:
    """Return an unwritten attempt: of a run's processes, the first alone writes the record."""
    return _SilentAttempt(
        paths, 0, {"events": [], "images_start": None}, MetricsWriter(Path(os.devnull))
    )


def read_attempts(paths: RunPaths) -> list[dict[str, Any]]:
    """Return the records of all attempts in order.

    One killed early has only a number, and so has one whose record is torn: what the others say,
    and the next attempt's number, do not depend on it.
    """
    records = []
    for number in attempt_numbers(paths):
        record = {}
        with contextlib.suppress(OSError, RecordError):
            record = read_json(paths.attempt_record(number))
        if not isinstance(record, dict) or record.get("attempt") != number:
            record = {}
        records.append(record or {"attempt": number, "run_id": paths.root.name})
    return records
