"""Run a plan on this machine: worker processes, longest runs first; a failure stops no other."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from dit_core.executor.allocator import environment_to_train
from dit_core.records.paths import Store
from dit_core.records.plan import run_record
from dit_core.study.price import cost
from dit_core.study.science.run import Run

_LEAVE_S = 30.0  # how long a worker may take to save and leave before it is ended
_RETRY_S = 0.5  # how often to look again at a run that another process owns


@dataclass(frozen=True, slots=True)
class Crew:
    """The number of workers, threads of each, and the GPUs of each (None on a CPU)."""

    workers: int
    threads: int
    gpus: tuple[str, ...] | None = None


@dataclass
class Ledger:
    """What became of each run so far; `on_event` is called with every change."""

    on_event: Callable[[dict[str, Any]], None]
    ended: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Note an event of a worker and pass it on."""
        if event["event"] == "end":
            self.ended[event["run"]] = (event["how"], event["reason"])
        self.on_event(event)


def crew_for(runs: tuple[Run, ...]) -> Crew:
    """Return the crew for these runs: one worker per GPU, else per core, threads shared out evenly.

    A run of several processes takes as many GPUs or cores. More workers than runs would idle, so
    there are never more, and fewer runs get more threads each. `execution.workers` and
    `execution.threads` overrule what fits the machine.
    """
    execution = runs[0].execution
    gpus = _visible_gpus() if execution.device != "cpu" else ()
    cores = len(os.sched_getaffinity(0))
    each = max(run.execution.processes for run in runs)
    places = (len(gpus) or cores) // each
    workers = max(min(execution.workers or places, len(runs)), 1)
    threads = execution.threads or max(cores // (workers * each), 1)
    lots = tuple(",".join(gpus[at : at + each]) for at in range(0, len(gpus), each))
    return Crew(workers, threads, lots[:workers] if gpus else None)


def run_locally(
    store: Store, study: str, runs: Iterable[Run], on_event: Callable[[dict[str, Any]], None]
) -> dict[str, tuple[str, str | None]]:
    """Execute `runs`; return for each id (done, diverged, failed or stopped, the reason).

    KeyboardInterrupt asks every worker to save and leave, waits for them, and is raised again.
    """
    waiting = deque(sorted(runs, key=work, reverse=True))
    if not waiting:
        return {}
    crew = crew_for(tuple(waiting))
    ledger = Ledger(on_event)
    log = store.workers_log(study)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as output, contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(_Worker(store, crew, slot, output)) for slot in range(crew.workers)
        ]
        try:
            _serve(workers, waiting, ledger, log)
        except KeyboardInterrupt:
            for worker in workers:
                worker.ask_to_leave()
            raise
    return ledger.ended


def work(run: Run) -> float:
    """Return a run's whole cost in FLOPs, training and sampling: for order and time left."""
    sampled = sum(
        2.0 * cost.sampling_macs(run.science, planned.evaluation) for planned in run.evaluations
    )
    return float(cost.train_flops(run.science)) + sampled


class _Worker:
    """One worker process, its pipe of events, and the run it works on."""

    def __init__(self, store: Store, crew: Crew, slot: int, output: TextIO) -> None:
        self._store = store
        self._crew = crew
        self._slot = slot
        self._output = output
        self.run: Run | None = None
        self._rest: bytes = b""
        self._start()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def give(self, run: Run) -> None:
        """Hand the worker a run."""
        self.run = run
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(run_record(run)).encode() + b"\n")
        self.process.stdin.flush()

    def events(self) -> list[dict[str, Any]] | None:
        """Return the events that have come in; None where the process has ended."""
        data = os.read(self.pipe, 1 << 16)
        if not data:
            return None
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [json.loads(line) for line in lines]

    def ask_to_leave(self) -> None:
        """Ask the worker to save and leave."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def restart(self) -> int:
        """Replace a process that died; return its exit status."""
        self._end()
        status = self.process.returncode
        self._start()
        return status

    def _start(self) -> None:
        self.pipe, theirs = os.pipe()
        self._rest = b""
        self.ready = False
        environment = environment_to_train(self._crew.threads)
        if self._crew.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._crew.gpus[self._slot % len(self._crew.gpus)]
        command = [
            sys.executable,
            "-m",
            "dit_core.executor.worker",
            str(theirs),
            str(self._crew.threads),
            str(self._store.root),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[theirs],
            env=environment,
            # Ctrl-C goes to us alone; the workers are asked to save and leave
            start_new_session=True,
        )
        os.close(theirs)

    def _end(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.pipe)


def _serve(workers: list[_Worker], waiting: deque[Run], ledger: Ledger, log: Path) -> None:
    """Hand out runs until all have ended; a run that another process owns is tried again."""
    owned: dict[str, tuple[float, Run]] = {}
    selector = selectors.DefaultSelector()
    for worker in workers:
        selector.register(worker.pipe, selectors.EVENT_READ, worker)
    while waiting or owned or any(worker.run for worker in workers):
        for key, _ in selector.select(timeout=_RETRY_S):
            worker = key.data
            events = worker.events()
            if events is None:
                selector.unregister(worker.pipe)
                _bury(worker, ledger, log)
                selector.register(worker.pipe, selectors.EVENT_READ, worker)
            for event in events or ():
                _take_event(worker, event, owned, ledger)
        for run_id in [r for r, (since, _) in owned.items() if time.monotonic() - since > _RETRY_S]:
            waiting.appendleft(owned.pop(run_id)[1])
        for worker in workers:
            if worker.ready and worker.run is None and waiting:
                worker.give(waiting.popleft())


def _take_event(
    worker: _Worker, event: dict[str, Any], owned: dict[str, tuple[float, Run]], ledger: Ledger
) -> None:
    if event["event"] == "ready":
        worker.ready = True
    elif event["event"] == "end" and worker.run is not None:
        run = worker.run
        worker.run = None
        if event["how"] == "owned":
            owned[run.run_id] = (time.monotonic(), run)
            ledger.on_event(event)
        else:
            ledger.take(event)
    else:
        ledger.take(event)


def _bury(worker: _Worker, ledger: Ledger, log: Path) -> None:
    """Record the run of a dead worker as failed, and start a new worker in its place."""
    run = worker.run
    worker.run = None
    was_ready = worker.ready
    status = worker.restart()
    if not was_ready:
        raise RuntimeError(
            f"a worker process ended at its start (status {status}); the end of {log} says why"
        )
    if run is not None:
        why = f"signal {-status}" if status < 0 else f"exit status {status}"
        hint = " (out of memory?)" if status == -9 else ""
        reason = f"its worker process ended with {why}{hint}; the end of {log} may say why"
        ledger.take({"event": "end", "run": run.run_id, "how": "failed", "reason": reason})


def _visible_gpus() -> tuple[str, ...]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(
            part.strip() for part in named.split(",") if part.strip() and part.strip() != "-1"
        )
    try:
        result = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(result.stdout.split()) if result.returncode == 0 else ()
