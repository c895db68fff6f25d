"""A worker process of the local executor: takes runs from its standard input, tells what happens on
a pipe.

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
from typing import Any

import torch

from dit_core.executor.one_run import Watch, carry_run
from dit_core.records.paths import Store
from dit_core.records.plan import run_of


class Stop:
    """Whether and why the worker must leave: a signal, or the end of its input."""

    def __init__(self) -> None:
        self.reason: str | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        # Only a flag: saving inside a handler could catch the weights in the middle of a step.
        self.reason = signal.Signals(number).name

    def __call__(self) -> str | None:
        """Return the reason to stop, or None."""
        return self.reason


def main() -> None:
    """Serve runs until the input ends: `python -m dit_core.executor.worker EVENTS_FD THREADS
    RESULTS`.
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
        watch = Watch(
            should_stop=stop,
            on_progress=lambda images, rate, r=run.run_id: tell(
                event="progress", run=r, images=images, rate=rate
            ),
            on_evaluation=lambda key, r=run.run_id: tell(event="evaluated", run=r, eval=key),
        )
        carried = carry_run(store, run, watch)
        tell(event="end", run=run.run_id, how=carried.how, reason=carried.reason)


def _listen(jobs: queue.Queue[dict[str, Any] | None], stop: Stop) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    stop.reason = stop.reason or "the parent has gone"
    jobs.put(None)


if __name__ == "__main__":
    main()
