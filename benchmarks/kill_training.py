"""Kill trainings at random moments: only steps since the last checkpoint may be lost.

    python benchmarks/kill_training.py [--kills 100] [--seed 0] [--json]

Each run is trained twice: once undisturbed, once with SIGKILL, SIGTERM or SIGUSR2 at a random
moment within a few dozen steps, and started again each time. Then weights, EMA and moments of the
last checkpoint, every EMA snapshot and every row of the loss curve are compared bit for bit.
Processes are forked from one that has loaded torch, so that a kill costs milliseconds, not a start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.executor.worker import Stop
from dit_core.records.attempt import read_attempts
from dit_core.records.disk.files import sha256_of
from dit_core.records.metrics import read_curve
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import Run
from dit_core.study.science.science import Data, Ddpm, Model, Science, Train

STEPS = 300
BATCH = 32
SAVE_EVERY_STEPS = 20
LONGEST_STEPS = 48
LONGEST_S = 0.05
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2)
TERMS = ("images", "step", "loss", "mse", "vb", "grad_norm")


def small_run(seed: int, **execution: object) -> Run:
    """Return a run of a few seconds: digits, two blocks of width 32."""
    science = Science(
        model=Model(depth=2, hidden=32, heads=2, patch=4),
        data=Data(),
        objective=Ddpm(),
        train=Train(images=STEPS * BATCH, batch=BATCH, lr=1e-3, ema=0.99, seed=seed),
    )
    settings = {
        "save_every_images": SAVE_EVERY_STEPS * BATCH,
        "log_every_images": 8 * BATCH,
        "threads": 1,
    }
    return Run(
        ids.run_id(science), "kill", science, Execution(compile="off", **(settings | execution))
    )


def spoil(
    store: Store, run: Run, draw: random.Random, kills: int, counts: Counter[str]
) -> list[int]:
    """Run `run` in `store`, killing it up to `kills` times; return the images lost at each."""
    steps = mmap.mmap(-1, 8)
    lost: list[int] = []
    reached: int | None = None
    while True:
        steps[:] = struct.pack("q", 0)
        child = _start(store, run, steps)
        number = draw.choice(SIGNALS) if kills > 0 else None
        if number is not None:
            _await_step(child, steps, draw.randrange(LONGEST_STEPS))
            time.sleep(draw.uniform(0.0, LONGEST_S))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        attempt = _last_attempt(store.run(run.run_id))
        start = attempt.get("images_start")
        if start is not None and reached is not None:
            lost.append(reached - start)
            reached = None
        if start is not None:
            reached = max(start + struct.unpack("q", steps[:])[0] * BATCH, reached or 0)
        if status == 0:
            return lost
        assert number is not None, f"an undisturbed attempt ended with status {status}"
        kills -= 1
        counts[number.name] += 1


def differences(one: RunPaths, other: RunPaths) -> list[str]:
    """Return what differs between two trainings of one run: file names and rows of the curve."""
    found = []
    newest = max(one.checkpoints.iterdir()).name
    files = [f"checkpoints/{newest}/{part}.safetensors" for part in ("weights", "ema", "optimizer")]
    files += [
        f"snapshots/{folder.name}/ema.safetensors" for folder in sorted(one.snapshots.iterdir())
    ]
    found += [name for name in files if not _same(one.root / name, other.root / name)]
    rows, others = (
        [tuple(row[t] for t in TERMS) for row in read_curve(paths)] for paths in (one, other)
    )
    found += [f"row {a[0]}" for a, b in zip(rows, others, strict=False) if a != b]
    return found + ([f"{len(rows)} rows, {len(others)} rows"] if len(rows) != len(others) else [])


def _same(one: Path, other: Path) -> bool:
    return other.exists() and sha256_of(one) == sha256_of(other)


def _start(store: Store, run: Run, steps: mmap.mmap) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        stop = Stop()

        def should_stop() -> str | None:
            steps[:] = struct.pack("q", struct.unpack("q", steps[:])[0] + 1)
            return stop()

        carried = execute_run(store, run, Watch(should_stop=should_stop))
        code = {"done": 0, "stopped": 75}.get(carried.how, 1)
        if code == 1:
            print(carried, file=sys.stderr)
    finally:
        os._exit(code)


def _await_step(child: int, steps: mmap.mmap, wanted: int) -> None:
    """Wait until the child has begun its step number `wanted` (0: do not wait), or has ended."""
    while struct.unpack("q", steps[:])[0] < wanted:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.001)


def _last_attempt(paths: RunPaths) -> dict:
    attempts = read_attempts(paths)
    return attempts[-1] if attempts else {}


def main() -> None:
    """Kill, compare, print the counts; exit 1 where anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    document = kill_many(options.kills, random.Random(options.seed))
    print(json.dumps(document) if options.json else "\n".join(_lines(document)))
    raise SystemExit(1 if document["different"] or document["over_interval"] else 0)


def kill_many(kills: int, draw: random.Random) -> dict:
    """Train runs until `kills` processes were killed; return what was lost and what differs."""
    counts = Counter()
    lost = []
    wrong = []
    runs = 0
    with tempfile.TemporaryDirectory() as folder:
        while sum(counts.values()) < kills:
            run = small_run(seed=runs)
            calm = Store(Path(folder) / "calm")
            rough = Store(Path(folder) / "rough")
            spoil(calm, run, draw, 0, Counter())
            # Some kills come before the first step or hit a process that is done; so a run gets a
            # fair share of them.
            share = min(-(-kills // 4), kills - sum(counts.values()))
            lost += spoil(rough, run, draw, share, counts)
            wrong += [
                f"run {runs}: {what}"
                for what in differences(calm.run(run.run_id), rough.run(run.run_id))
            ]
            runs += 1
    interval = SAVE_EVERY_STEPS * BATCH
    return {
        "kills": sum(counts.values()),
        "by_signal": dict(counts),
        "runs": runs,
        "different": wrong,
        "largest_loss_steps": max(lost, default=0) // BATCH,
        "save_interval_steps": SAVE_EVERY_STEPS,
        "over_interval": sum(images > interval for images in lost),
    }


def _lines(document: dict) -> list[str]:
    wrong = document["different"]
    kills = f"{document['kills']} kills ({document['by_signal']}) over {document['runs']} runs"
    lost = document["largest_loss_steps"]
    return [
        f"{kills}: {len(wrong)} differences",
        f"steps lost per kill: at most {lost} of {document['save_interval_steps']} allowed",
        *wrong,
    ]


if __name__ == "__main__":
    main()
