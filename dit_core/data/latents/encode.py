"""Image folder -> shards of VAE latents, resumable, with the same bytes whatever happens.

The unit of work is a shard: always the same images, in batches of the same size, on one thread of a
CPU. So which process makes it, and how often it was begun, cannot change a byte. A shard is
published by rename; a small record with its sha256 follows; the manifest, which alone makes the
folder readable, comes last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dit_core.data.latents.latent_set import MANIFEST, Manifest, Shard
from dit_core.data.latents.shards import Job, Task, work
from dit_core.data.latents.vae import VaeFolder
from dit_core.data.readers.images import Listing, scan
from dit_core.errors import DataError, EnvironmentProblem, UserError
from dit_core.records.disk.files import read_json, write_json

REQUEST = "encode.json"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Encoding:
    """What an encoding makes of which images; two passes with equal requests make equal shards."""

    listing: Listing
    vae: VaeFolder
    out: Path
    size: int = 256
    """Side of the square image, in pixels."""
    dtype: Literal["float16", "float32"] = "float32"
    """Type of the moments on disk, float32 or float16."""
    shard: int = 512
    """Images per shard: what a kill costs each process at most."""
    batch: int = 8
    """Images per pass through the VAE."""
    device: str = "cpu"
    """cpu or cuda."""

    def request(self) -> dict[str, Any]:
        """Return all that determines the shards, as kept in encode.json."""
        return {
            "version": 1,
            "images": len(self.listing.files),
            "classes": len(self.listing.classes),
            "files_sha256": self.listing.sha256_of_names(),
            "vae": self.vae.identity.model_dump(),
            "size": self.size,
            "dtype": self.dtype,
            "shard": self.shard,
            "batch": self.batch,
            "device": self.device,
        }

    def tasks(self) -> list[Task]:
        """Return the shards to make, in order."""
        files = self.listing.files
        labels = self.listing.labels.tolist()
        cuts = range(0, len(files), self.shard)
        return [
            Task(
                f"shard-{k:05d}.safetensors",
                files[i : i + self.shard],
                tuple(labels[i : i + self.shard]),
            )
            for k, i in enumerate(cuts)
        ]


def encode(
    encoding: Encoding,
    processes: int = 1,
    part: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make what is missing of the shards and, once all are there, the manifest; return counts.

    `part` (i, n) makes every n-th shard only, for n machines on one folder; the last to finish
    writes the manifest. Returns {"images", "shards", "kept", "encoded", "mended", "missing",
    "done"}; mended are shards whose bytes had changed. Raises UserError where `out` holds another
    encoding, DataError naming every image that does not decode (the other shards are made all the
    same), EnvironmentProblem for too little space or a worker that died.
    """
    try:
        return _encode(encoding, processes, part, progress)
    except OSError as error:
        where = error.filename or encoding.out
        raise EnvironmentProblem(
            f"{where}: {error.strerror or error}; what was published stays"
        ) from error


def _encode(
    encoding: Encoding, processes: int, part: tuple[int, int], progress: Progress | None
) -> dict[str, Any]:
    request = _claim(encoding)
    tasks = encoding.tasks()
    counts = {
        "images": len(encoding.listing.files),
        "shards": len(tasks),
        "kept": 0,
        "encoded": 0,
        "mended": 0,
    }
    _check_space(encoding)
    job = Job(
        encoding.listing.root,
        encoding.vae,
        encoding.out,
        encoding.size,
        encoding.dtype,
        encoding.batch,
    )
    bad: list[str] = []
    for outcome, errors in work(
        job, encoding.device, tasks[part[0] - 1 :: part[1]], processes, progress
    ):
        bad += errors
        if outcome:
            counts[outcome] += 1
    if bad:
        shown = bad[:20] + [f"and {len(bad) - 20} more"] * (len(bad) > 20)
        raise DataError(
            "\n".join(
                [*shown, f"{len(bad)} images do not decode; mend them and give the command again"]
            )
        )
    missing = [t.file for t in tasks if not t.record(encoding.out).is_file()]
    if not missing:
        _publish(encoding, request, tasks)
    return counts | {"missing": len(missing), "done": not missing}


def encoding_of(folder: str | Path, vae: VaeFolder, out: str | Path, **options: Any) -> Encoding:
    """Return the encoding of an image folder; raise UserError naming a wrong option."""
    encoding = Encoding(scan(folder), vae, Path(out), **options)
    vae.latent_shape(encoding.size)
    if encoding.dtype not in ("float16", "float32"):
        raise UserError(f"--dtype {encoding.dtype!r}: allowed are float32 and float16")
    for name in ("shard", "batch"):
        if getattr(encoding, name) < 1:
            raise UserError(f"--{name} {getattr(encoding, name)}: must be at least 1")
    if encoding.out.resolve().is_relative_to(encoding.listing.root.resolve()):
        raise UserError(
            f"--out {out} lies inside the image folder {folder}; it would become a class of it"
        )
    return encoding


def _claim(encoding: Encoding) -> dict[str, Any]:
    """Write the request, or compare it with the one that is there."""
    path = encoding.out / REQUEST
    request = encoding.request()
    if not path.is_file():
        if encoding.out.is_dir() and any(encoding.out.glob("*.safetensors")):
            raise UserError(
                f"--out {encoding.out}: holds shards but no {REQUEST}; give another folder"
            )
        write_json(path, request)
        return request
    kept = read_json(path)
    differ = [k for k in {**request, **kept} if kept.get(k) != request.get(k)]
    if differ:
        rows = "; ".join(f"{k}: there {kept.get(k)}, asked {request.get(k)}" for k in differ)
        raise UserError(
            f"--out {encoding.out}: holds another encoding ({rows}); give another folder"
        )
    return request


def _check_space(encoding: Encoding) -> None:
    c, h, w = encoding.vae.latent_shape(encoding.size)
    each = 2 * 2 * c * h * w * (2 if encoding.dtype == "float16" else 4) + 8
    there = sum(f.stat().st_size for f in encoding.out.glob("shard-*.safetensors"))
    needed = (len(encoding.listing.files) * each - there) / 2**30
    free = shutil.disk_usage(encoding.out).free / 2**30
    if needed > free:
        raise EnvironmentProblem(
            f"{encoding.out}: {needed:.1f} GiB are needed, {free:.1f} GiB are free"
        )


def _publish(encoding: Encoding, request: dict[str, Any], tasks: list[Task]) -> None:
    listing = encoding.listing
    counts = [0] * len(listing.classes)
    for label in listing.labels.tolist():
        counts[label] += 1
    manifest = Manifest(
        images=len(listing.files),
        classes=dict(zip(listing.classes, counts, strict=True)),
        shape=encoding.vae.latent_shape(encoding.size),
        dtype=encoding.dtype,
        scale=encoding.vae.scale,
        crop=f"adm centre crop, {encoding.size} px",
        files_sha256=request["files_sha256"],
        vae=encoding.vae.identity,
        device=encoding.device,
        shards=tuple(Shard(**read_json(t.record(encoding.out))) for t in tasks),
    )
    for leftover in encoding.out.glob(".shard-*.tmp"):
        leftover.unlink(missing_ok=True)
    write_json(encoding.out / MANIFEST, manifest.model_dump(mode="json"))


def default_processes(device: str) -> int:
    """Return one process per GPU, or per core this process may use."""
    if device == "cuda":
        import torch

        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
