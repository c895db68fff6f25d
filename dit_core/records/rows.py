"""Reading metrics files that may be damaged: every good row, and each bad one with its cause.

A good row is a line whose checksum holds, whose `images` and `step` are counts and whose other
values are numbers or null. Rows glued together by a lost line end are separated by their
checksums; a row is never guessed.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

from dit_core.records.disk.files import TornFile, read_regular
from dit_core.records.metrics import decode

MAX_LINE = 1 << 20
MAX_FILE = 1 << 30
_END = re.compile(rb',"crc":"[0-9a-f]{8}"\}')
# The C scanner behind json.loads; typeshed does not know the attribute.
_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the store: the file, a kind, and its cause or remedy.

    The path is relative to the results folder where that is known.

    `kind` is one of torn, altered, type, duplicate, oversized, foreign, missing, orphan, nonfinite,
    unreadable.
    """

    path: str
    kind: str
    detail: str
    line: int = 0


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return (good rows in file order, problems) of one metrics file; a missing file has neither.

    A UTF-8 byte order mark is passed over, a gzip file is unpacked (the readable head of a torn
    one).
    """
    data, problems = _contents(path)
    rows: list[dict[str, Any]] = []
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        row = _decoded(line) if len(line) <= MAX_LINE else None
        if row is not None and _right(row):
            rows.append(row)
            continue
        saved, found = _salvage(str(path), number, line, tail=number == len(lines))
        rows += saved
        problems += found
    return _without_doubles(str(path), rows, problems)


def _contents(path: Path) -> tuple[bytes, list[Problem]]:
    """Return the bytes of a metrics file, unpacked, and what keeps some or all from being used."""
    name = str(path)
    try:
        if (size := path.stat().st_size) > MAX_FILE:
            words = f"{size:,} bytes; a curve is far shorter, none of it is used"
            return b"", [Problem(name, "oversized", words)]
        data = read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return b"", []
    except TornFile as error:
        return b"", [Problem(name, "unreadable", error.cause)]
    except OSError as error:
        return b"", [Problem(name, "unreadable", error.strerror or "cannot be read")]
    if data[:2] != b"\x1f\x8b":  # gzip
        return data, []
    data, whole = _unpack(data)
    if whole:
        return data, []
    words = "the gzip stream ends early; its readable head is used"
    return data, [Problem(name, "torn", words)]


def wrong(row: dict[str, Any]) -> str | None:
    """Return why a row of the training curve is bad, or None: types, ranges, names."""
    for key in ("images", "step"):
        if type(row.get(key)) is not int or row[key] < 0:
            return f"{key} is {row.get(key)!r}, not a count"
    for key, value in row.items():
        kind = type(value)
        if kind is float:
            if value - value != 0:
                return f"{key} is {value}, which a row writes as null"
        elif kind is dict and key == "nonfinite":
            if not all(type(v) is str for v in value.values()):
                return "nonfinite does not name words"
        elif kind is not int and value is not None:
            return f"{key} is {str(value)[:40]!r}, not a number"
    return next(
        (f"unknown kind of name {key[:40]!r}" for key in row if not _KEY.fullmatch(key)), None
    )


def _salvage(
    path: str, number: int, line: bytes, *, tail: bool
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return (good rows, problems) of a line that is not one good row."""
    if len(line) > MAX_LINE:
        words = f"a line of {len(line):,} bytes; rows are far shorter"
        return [], [Problem(path, "oversized", words, number)]
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []

    def note(kind: str, words: str) -> None:
        problems.append(Problem(path, kind, words, number))

    start = 0
    for match in _END.finditer(line):
        row, clean = _last_row(line[start : match.end()])
        start = match.end()
        if row is None:
            note("altered", "the checksum of the line does not hold")
            continue
        if not clean:
            note("torn", "a torn row before a whole one on the same line")
        if (cause := wrong(row)) is not None:
            note("type", cause)
        else:
            rows.append(row)
    if rest := line[start:].strip(b"\r\n \x00"):
        last = "; the last line of a killed attempt often is" if tail else ""
        note("torn", f"{len(rest)} bytes that are no whole row{last}")
    elif start == 0:
        note("torn", f"a block of {len(line)} NUL or blank bytes")
    return rows, problems


def _last_row(piece: bytes) -> tuple[dict[str, Any] | None, bool]:
    """Return the row that ends a piece, and whether nothing else stands before it."""
    start = len(piece)
    for _ in range(64):  # a row holds one or two opening braces; a hostile line holds many
        start = piece.rfind(b'{"', 0, start)
        if start < 0:
            break
        if (row := _decoded(piece[start:])) is not None:
            return row, not piece[:start].strip(b"\x00 \r\xef\xbb\xbf")
    return None, False


def _decoded(line: bytes) -> dict[str, Any] | None:
    """Return the row of a line as metrics.decode does, in a third of the time; None if no JSON."""
    try:
        if line[-18:-10] == b',"crc":"' and crc32(b"}", crc32(line[:-18])) == int(line[-10:-2], 16):
            text = line[:-18].decode() + "}"
            row, end = _SCAN(text, 0)
            return row if type(row) is dict and end == len(text) else None
        return decode(line)
    except (ValueError, RecursionError, StopIteration):
        return None


def _right(row: dict[str, Any]) -> bool:
    """Return whether a row is good: the plain case fast, every other by `wrong`."""
    if not _plain_names(tuple(row)):
        return wrong(row) is None
    for value in row.values():
        kind = type(value)
        if (kind is float and value - value == 0) or value is None or kind is int:
            continue
        return wrong(row) is None
    return (
        type(row["images"]) is int
        and type(row["step"]) is int
        and row["images"] >= 0
        and row["step"] >= 0
    )


@functools.lru_cache(maxsize=256)
def _plain_names(names: tuple[str, ...]) -> bool:
    """Return whether a row of these names can be judged by its values alone."""
    if "nonfinite" in names or not {"images", "step"} <= set(names):
        return False
    return all(_KEY.fullmatch(name) for name in names)


def _without_doubles(
    path: str, rows: list[dict[str, Any]], problems: list[Problem]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Drop repeats within one file: of equal rows one stays, of contradicting ones none."""
    if all(a["images"] < b["images"] for a, b in pairwise(rows)):
        return rows, problems
    kept: dict[int, dict[str, Any] | None] = {}
    for row in rows:
        images = row["images"]
        if images not in kept:
            kept[images] = row
        elif kept[images] == row:
            problems.append(
                Problem(path, "duplicate", f"the row at {images} images stands twice; one is used")
            )
        else:
            kept[images] = None
            problems.append(
                Problem(
                    path,
                    "duplicate",
                    f"rows at {images} images contradict each other; none is used",
                )
            )
    return [row for _, row in sorted(kept.items()) if row is not None], problems


def _unpack(data: bytes) -> tuple[bytes, bool]:
    """Return (unpacked bytes, whether the stream is whole); stops after MAX_FILE bytes."""
    engine = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    total = 0
    try:
        for start in range(0, len(data), 1 << 16):
            parts.append(engine.decompress(data[start : start + (1 << 16)]))
            total += len(parts[-1])
            if total > MAX_FILE:
                return b"".join(parts), False
    except zlib.error:
        return b"".join(parts), False
    return b"".join(parts), engine.eof
