"""A worker process of the local executor: runs come in on stdin, events go out on a pipe.

It lives for many runs, so that torch is loaded once. When its parent goes away, its input ends: it
saves and leaves.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch

from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.records.paths import Store
from dit_core.records.plan import run_of


class Stop:
    """Whether and why the worker must leave: a signal, or the end of its input."""

    def __init__(self) -> None:
        self.reason: str | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only a flag: saving inside a handler could catch the weights in the middle of a step.
        self.reason = signal.Signals(number).name

    def __call__(self) -> str | None:
        """Return the reason to stop, or None."""
        return self.reason


def main() -> None:
    """Serve runs until the input ends.

    Called as `python -m dit_core.executor.worker EVENTS_FD THREADS RESULTS`.
    """
    events_fd = int(sys.argv[1])
    threads = int(sys.argv[2])
    results = sys.argv[3]
    torch.set_num_threads(threads)
    stop = Stop()
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(jobs, stop), daemon=True).start()

    def tell(**event: Any) -> None:
        try:
            os.write(events_fd, json.dumps(event).encode() + b"\n")
        except OSError:
            stop.reason = stop.reason or "the parent has gone"

    store = Store.at(results)
    tell(event="ready")
    while (job := jobs.get()) is not None and stop() is None:
        run = run_of(job)
        result = execute_run(store, run, _watch(run.run_id, stop, tell))
        how = result.how
        if how == "superseded":
            # The other one has it now: for whoever waits for the run that is the same as "owned".
            print(f"run {run.run_id}: {result.reason}", flush=True)
            how = "owned"
        tell(event="end", run=run.run_id, how=how, reason=result.reason)


def _watch(run_id: str, stop: Stop, tell: Callable[..., None]) -> Watch:
    def on_progress(images: int, rate: float) -> None:
        tell(event="progress", run=run_id, images=images, rate=rate)

    def on_evaluation(eval_id: str) -> None:
        tell(event="evaluated", run=run_id, eval=eval_id)

    return Watch(stop, on_progress, on_evaluation)


def _listen(jobs: queue.Queue[dict[str, Any] | None], stop: Stop) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    stop.reason = stop.reason or "the parent has gone"
    jobs.put(None)


if __name__ == "__main__":
    main()
