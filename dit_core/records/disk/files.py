"""Files that are whole or absent: a temporary name beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError, UserError
from dit_core.records.disk.fence import publishing

MAX_BYTES = 1 << 30  # the plan of 100,000 runs has a fifth of it
MAX_DEPTH = 64
_WALKED_BYTES = 1 << 22
_NESTED = (dict, list)
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
    """Return the document in `data`, its seal checked and removed; raise ValueError if torn.

    And where it is larger or deeper than any record, or holds a NUL, which no path may.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data):,} bytes, more than any record has")
    if b"\\u0000" in data or b"\0" in data:
        raise ValueError("holds a NUL character")
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and len(data) <= _WALKED_BYTES:
        _check_depth(value)
    if type(value) is dict and "crc" in value:
        seal = _SEAL.search(data, max(0, len(data) - 40))
        if seal is None or zlib.crc32(data[: seal.start()]) != int(seal[1], 16):
            raise ValueError("its checksum does not hold: altered, or edited by hand")
        del value["crc"]
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, _NESTED)]
        level = [child for children in inner for child in children]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; a pipe or device is refused, never waited for.

    Raises TornFile for one of these.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            raise TornFile(path, "a pipe, device or socket, no regular file")
        return file.read()


def read_json(path: Path) -> Any:
    """Return the JSON document at `path`; raise TornFile where it is torn, altered or no JSON."""
    try:
        return parse_json(read_regular(path))
    except FileNotFoundError:
        raise
    except (ValueError, UnicodeDecodeError) as error:
        raise TornFile(path, f"not readable as JSON ({error})") from error


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
