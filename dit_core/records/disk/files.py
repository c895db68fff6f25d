"""Files that are whole or absent: a temporary name beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError, UserError
from dit_core.records.disk.fence import publishing

_SEAL = re.compile(rb',\r?\n "crc": "([0-9a-f]{8})"\r?\n\}\s*\Z')


class TornFile(RecordError):
    """A file that cannot be read as what it is: torn, altered, or edited by hand."""

    def __init__(self, path: Path, cause: str) -> None:
        self.path = path
        self.cause = cause
        super().__init__(f"{path}: {cause}; `ditlab doctor` says how to mend it")


def write_atomic(path: Path, data: bytes) -> None:
    """Publish `data` at `path`: readers see the old content, the new, or none, never a part.

    Raises OSError (disk full, no permission) with the old file untouched and the temporary one
    removed, and UserError where a device or a pipe stands there.
    """
    refuse_special(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.tmp"
    with naming(path):
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with publishing(path):
                os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    sync_folder(path.parent)


def refuse_special(path: Path) -> None:
    """Raise UserError where a device, pipe or socket is at `path`: a rename would replace it."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: a device, pipe or socket, not a file; give another path")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an OSError of the block name `path`, not a temporary file or none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: Path, value: Any, *, sealed: bool = False) -> None:
    """Publish `value` as readable JSON; NaN and infinities are refused.

    Write null for them, and the reason in another field.

    A sealed document (an object) ends in the crc32 of what stands before, so that an altered digit
    is noticed.
    """
    data = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode()
    if sealed:
        body = data.removesuffix(b"\n}")
        data = body + f',\n "crc": "{zlib.crc32(body):08x}"\n}}'.encode()
    write_atomic(path, data + b"\n")


def parse_json(data: bytes) -> Any:
    """Return the document in `data`, its seal checked and removed; raise ValueError if torn."""
    value = json.loads(data.decode("utf-8-sig"))
    if type(value) is dict and "crc" in value:
        seal = _SEAL.search(data, max(0, len(data) - 40))
        if seal is None or zlib.crc32(data[: seal.start()]) != int(seal[1], 16):
            raise ValueError("its checksum does not hold: altered, or edited by hand")
        del value["crc"]
    return value


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`; raise TornFile where it is torn, altered or no JSON."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise
    except (ValueError, UnicodeDecodeError) as error:
        raise TornFile(path, f"not readable as JSON ({error})") from error


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
