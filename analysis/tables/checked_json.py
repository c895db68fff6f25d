"""Small records read with suspicion: a value of the wanted kind, or nothing."""

from __future__ import annotations

import math
import os
from typing import Any

from dit_core.records.disk.files import parse_json
from dit_core.records.rows import Problem

MAX_RECORD = 16 << 20


def document(path: str, problems: list[Problem]) -> dict[str, Any] | None:
    """Return the JSON object of a record, or None: it is absent, or a problem was noted."""
    try:
        record = parse_json(content(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problems.append(Problem(path, "unreadable", error.strerror or "cannot be read"))
        return None
    except (ValueError, RecursionError) as error:
        kind = "altered" if "checksum" in str(error) else "torn"
        problems.append(Problem(path, kind, f"not a whole record ({str(error)[:80]})"))
        return None
    if not isinstance(record, dict):
        problems.append(Problem(path, "type", "holds no record"))
        return None
    return record


def content(path: str) -> bytes:
    """Return a small file's bytes; raise ValueError for one that is larger than any record."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
            if len(parts) > MAX_RECORD >> 16:
                raise ValueError(f"larger than {MAX_RECORD >> 20} MB")
    finally:
        os.close(descriptor)
    return b"".join(parts)


def number(value: Any) -> float | None:
    """Return a finite number, else None."""
    try:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    except OverflowError:  # an integer beyond every float
        return None


def count(value: Any) -> int | None:
    """Return a whole number that is not negative and fits 64 bits, else None."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def text(value: Any) -> str | None:
    """Return a text, else None."""
    return value if isinstance(value, str) else None


def flag(value: Any) -> bool | None:
    """Return a truth value, else None."""
    return value if isinstance(value, bool) else None


def origin(record: dict[str, Any]) -> dict[str, Any]:
    """Return host, commit and dirty flag of a record's provenance."""
    found = part(record, "provenance")
    return {
        "host": text(found.get("host")),
        "commit": text(found.get("commit")),
        "dirty": flag(found.get("dirty")),
    }


def part(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`, or an empty one."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}
