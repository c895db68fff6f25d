"""Workers that make shards: one process each, one shard at a time, dead when their parent is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from dit_core.data.latents.latent_set import DTYPES
from dit_core.data.latents.vae import VaeFolder
from dit_core.data.readers.images import centre_crop, read_image
from dit_core.errors import DataError, EnvironmentProblem, RecordError
from dit_core.records.disk.files import read_json, sha256_of, write_atomic, write_json

# (outcome, names of images that do not decode): outcome is "kept", "encoded", "mended" or None.
Result = tuple[str | None, list[str]]


@dataclass(frozen=True)
class Task:
    """One shard: its file name and the images that belong into it, with their labels."""

    file: str
    images: tuple[str, ...]
    labels: tuple[int, ...]

    def record(self, out: Path) -> Path:
        """Return where the shard's size and sha256 are kept until the manifest holds them."""
        return out / f"{self.file.removesuffix('.safetensors')}.json"


@dataclass(frozen=True)
class Job:
    """What all shards have in common."""

    root: Path
    vae: VaeFolder
    out: Path
    size: int
    dtype: str
    batch: int


class Worker:
    """Makes shards with one VAE, loaded when the first shard really has to be made."""

    def __init__(
        self, job: Job, device: str, tell: Callable[[int], None], stopped: Callable[[], bool]
    ) -> None:
        """Take the job, a torch device, a sink for images done, and a stop between batches."""
        self._job = job
        self._device = device
        self._tell = tell
        self._stopped = stopped
        self._vae: Any = None

    def make(self, task: Task) -> Result:
        """Make one shard unless it is whole; return what was done and which images failed."""
        state = _state(self._job.out, task)
        if state == "kept":
            self._tell(len(task.images))
            return state, []
        moments, bad = self._moments(task)
        if bad:
            return None, bad
        path = self._job.out / task.file
        labels = torch.tensor(task.labels, dtype=torch.int64)
        # No metadata in the file: safetensors does not fix its order, and equal shards must be
        # equal bytes.
        write_atomic(path, save({"moments": moments, "labels": labels}))
        facts = {
            "file": task.file,
            "images": len(task.images),
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }
        write_json(task.record(self._job.out), facts)
        return state, []

    def _moments(self, task: Task) -> tuple[torch.Tensor, list[str]]:
        """Return a shard's moments (n, 2, 2 C, h, w); without them where images do not decode."""
        job = self._job
        bad = []
        parts = []
        for start in range(0, len(task.images), job.batch):
            if self._stopped():
                raise Stopped
            pixels = []
            for name in task.images[start : start + job.batch]:
                try:
                    pixels.append(centre_crop(read_image(job.root / name), job.size))
                except DataError as error:
                    bad.append(str(error))
            if not bad:
                parts.append(self._encode(np.stack(pixels), task.images[start : start + job.batch]))
            self._tell(len(pixels))
        return (torch.empty(0) if bad else torch.cat(parts)), bad

    @torch.inference_mode()
    def _encode(self, pixels: np.ndarray, names: tuple[str, ...]) -> torch.Tensor:
        """Return moments (B, 2, 2 C, h, w) of uint8 pixels (B, s, s, 3), plain and flipped."""
        if self._vae is None:
            self._vae = self._job.vae.load(self._device)
        x = (
            torch.from_numpy(pixels)
            .to(self._device)
            .permute(0, 3, 1, 2)
            .float()
            .div_(127.5)
            .sub_(1)
        )
        copies = []
        for image in (x, x.flip(-1)):
            posterior = self._vae.encode(image.contiguous()).latent_dist
            copies.append(torch.cat([posterior.mean, posterior.std], dim=1))
        moments = torch.stack(copies, dim=1).to(DTYPES[self._job.dtype]).cpu()
        bad = ~torch.isfinite(moments).flatten(1).all(dim=1)
        if bad.any():
            remedy = "is the VAE whole?" if self._job.dtype == "float32" else "try --dtype float32"
            raise DataError(
                f"{self._job.root / names[int(bad.int().argmax())]}: its latent is not finite; "
                f"{remedy}"
            )
        return moments


class Stopped(Exception):
    """The pass was asked to end; what was published stays."""


def work(
    job: Job, device: str, tasks: list[Task], processes: int, progress: Any
) -> Iterator[Result]:
    """Yield the result of each task as it ends.

    One process is this one; more are started beside it.

    `progress(done, total)` is told images. Raises EnvironmentProblem where a process dies.
    """
    total = sum(len(t.images) for t in tasks)
    processes = min(processes, len(tasks))
    if processes > 1:
        yield from _work_in_processes(
            job, device, tasks, processes, lambda done: progress and progress(done, total)
        )
        return
    done = 0

    def tell(images: int) -> None:
        nonlocal done
        done += images
        if progress:
            progress(done, total)

    threads = _exact(device)
    try:
        worker = Worker(job, device, tell, lambda: False)
        for task in tasks:
            yield worker.make(task)
    finally:
        torch.set_num_threads(threads)


def _work_in_processes(
    job: Job, device: str, tasks: list[Task], processes: int, show: Callable[[int], Any]
) -> Iterator[Result]:
    context = _context()
    done = context.Value("q", 0)
    rank = context.Value("q", 0)
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, context, _start, (job, device, done, rank, stop))
    pending: set[Future[Result]] = {pool.submit(_make, task) for task in tasks}
    try:
        while pending:
            ready, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            show(done.value)
            for future in ready:
                yield future.result()
    except BrokenProcessPool:
        raise EnvironmentProblem(
            "an encoding process died (out of memory?); try fewer --processes"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _context() -> Any:
    """Return how processes start: forked from a server with the imports, else spawned."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "diffusers.models.autoencoders.autoencoder_kl"])
    return context


_worker: Worker | None = None


def _start(job: Job, device: str, done: Any, rank: Any, stop: Any) -> None:
    """Prepare a process of the pool: its device, no answer to Ctrl-C, an end with its parent."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    _exact(device)
    with rank.get_lock():
        number = rank.value
        rank.value = rank.value + 1
    if device == "cuda":
        device = f"cuda:{number % torch.cuda.device_count()}"

    def tell(images: int) -> None:
        with done.get_lock():
            done.value += images

    _worker = Worker(job, device, tell, stop.is_set)


def _die_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _make(task: Task) -> Result:
    assert _worker is not None
    return _worker.make(task)


def _exact(device: str) -> int:
    """Make results independent of the machine's load; return the number of threads before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if device.startswith("cuda"):
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return threads


def _state(out: Path, task: Task) -> str:
    """Return "kept" for a whole shard, "mended" for one whose bytes changed, else "encoded"."""
    path = out / task.file
    record = task.record(out)
    if not record.is_file():
        return "encoded"
    try:
        facts = read_json(record)
        whole = path.stat().st_size == facts["bytes"] and sha256_of(path) == facts["sha256"]
    except (OSError, RecordError, KeyError, TypeError):
        whole = False
    return "kept" if whole else "mended"
