"""A store with weights, for the tests of gc, doctor and pack."""

from __future__ import annotations

from pathlib import Path

from synthetic_store import fill, unsynced

from dit_core.records.disk import bundle
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.paths import RunPaths, Store


def publish(folder: Path) -> None:
    """Publish a bundle of one small file."""
    content = folder.name.encode() * 20
    bundle.publish(
        folder,
        {"weights.bin": lambda path: path.write_bytes(content)},
        {"images_seen": int(folder.name)},
    )


def store_with_weights(root: Path, count: int = 2) -> tuple[Store, list[RunPaths]]:
    """Return a store whose runs each have three checkpoints, two snapshots, a log, and an outcome
    that vouches.
    """
    store = Store(root)
    found = []
    for run in fill(store, count, points=4, evals=16):
        paths = store.run(run)
        with unsynced():
            for images in (1600, 3200, 4800):
                publish(paths.checkpoints / f"{images:012d}")
            for images in (3200, 6400):
                publish(paths.snapshot(images))
            (paths.attempt(1) / "log.txt").write_text("log\n")
            write_outcome(paths, Outcome("DONE", None, 6400, 1))
        found.append(paths)
    return store, found
