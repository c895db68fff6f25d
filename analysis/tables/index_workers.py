"""Reading the records of many runs on all cores: one process for each batch of runs."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from analysis.tables.parquet_parts import Part, build_parts
from dit_core.records.paths import Store

Progress = Callable[[int, int], None]


def build_in_processes(
    store: Store, batches: list[list[str]], folder: Path, now: int, progress: Progress | None
) -> list[Part]:
    """Return the parts of all batches, each read by a process of its own.

    Plain processes, because a notebook has no main guard.
    """
    found: list[Part] = []
    count = 0
    total = sum(map(len, batches))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        read = partial(_read, store, folder, now)
        for batch, parts in zip(batches, pool.map(read, batches), strict=True):
            found += parts
            count += len(batch)
            if progress:
                progress(count, total)
    return found


def _read(store: Store, folder: Path, now: int, batch: list[str]) -> list[Part]:
    """Return the parts that a process of its own writes of one batch; raise its OSError."""
    task = {"results": str(store.root), "folder": str(folder), "runs": batch, "now": now}
    paths = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-m", "analysis.tables.index_workers"],
        input=json.dumps(task).encode(),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    parts: list[Part] | dict[str, Any] = json.loads(done.stdout)
    if isinstance(parts, dict):
        raise OSError(*parts["refused"])
    return parts


def _work() -> None:
    """Build the parts of the batch on standard input; print them, or the refusal, as JSON."""
    gc.disable()  # rows make no cycles; looking for them costs a sixth of the time
    task = json.load(sys.stdin)
    folder = Path(task["folder"])
    try:
        found = build_parts(Store(Path(task["results"])), task["runs"], folder, task["now"])
    except OSError as error:
        name = error.filename or task["folder"]
        refused = [error.errno, error.strerror or str(error), name]
        json.dump({"refused": refused}, sys.stdout)
        return
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _work()
