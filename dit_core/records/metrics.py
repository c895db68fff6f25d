"""attempts/<n>/metrics.jsonl: the training curve, one JSON object and its checksum a line.

One process writes a file; lines are appended with a single write per flush, so a kill tears at most
the last line. Rows of later attempts replace those of earlier ones at the same training point: work
that was redone counts once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dit_core.records.disk.fence import publishing
from dit_core.records.disk.files import TornFile, read_regular
from dit_core.records.paths import RunPaths

FLUSH_S = 2.0
FLUSH_BYTES = 64 * 1024


class MetricsWriter:
    """Append rows to one metrics file, in batches."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666
        )
        self._path = path
        self._lines: list[bytes] = []
        self._bytes = 0
        self._flushed = time.monotonic()

    def write(self, row: dict[str, Any]) -> None:
        """Add one row; non-finite numbers become null and are named under "nonfinite"."""
        line = encode(row)
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes > FLUSH_BYTES or time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Hand all rows to the operating system."""
        if self._lines:
            with publishing(self._path):
                os.write(self._descriptor, b"".join(self._lines))
            self._lines = []
            self._bytes = 0
        self._flushed = time.monotonic()

    def sync(self) -> None:
        """Put all rows on disk, before a checkpoint that comes after them is published."""
        self.flush()
        with contextlib.suppress(OSError):  # a device like /dev/null cannot be synced
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Flush, sync and close; closing twice is harmless."""
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1


def encode(row: dict[str, Any]) -> bytes:
    """Return a row as one line of JSON that ends in the crc32 of what stands before it."""
    bad = {
        key: str(value)
        for key, value in row.items()
        if isinstance(value, float) and not math.isfinite(value)
    }
    plain = {key: None if key in bad else value for key, value in row.items()}
    if bad:
        plain["nonfinite"] = bad
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    return f'{text[:-1]},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line, or None where the line is torn or altered."""
    line = line.rstrip(b"\r\n")
    if line[-18:-10] != b',"crc":"' or line[-2:] != b'"}':
        return None
    text = line[:-18] + b"}"
    crc = line[-10:-2]
    if f"{zlib.crc32(text):08x}".encode() != crc:
        return None
    row = json.loads(text)
    return row if isinstance(row, dict) else None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole rows of one file; damaged lines are skipped (`ditlab doctor` counts them)."""
    try:
        data = read_regular(path)
    except (FileNotFoundError, TornFile):
        return
    for line in data.split(b"\n"):
        if line and (row := decode(line)) is not None:
            yield row


def read_curve(paths: RunPaths) -> list[dict[str, Any]]:
    """Return the training curve of a run, ascending in images; at each point the last attempt's."""
    rows: dict[int, dict[str, Any]] = {}
    for number in attempt_numbers(paths):
        for row in read_rows(paths.metrics(number)):
            rows[row["images"]] = {**row, "attempt": number}
    return [rows[images] for images in sorted(rows)]


def attempt_numbers(paths: RunPaths) -> list[int]:
    """Return the numbers of all attempts, ascending."""
    try:
        names = os.listdir(paths.attempts)
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdigit())
