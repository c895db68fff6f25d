"""One side of a paired benchmark in a process of its own: `python -m dit_core.bench.lane`.

The first line on its input says what to measure, every further one how many steps to make now and
whether to time their phases; each is answered with one line of JSON. Two lanes take turns, so that
what else happens on the machine hits both alike.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from dit_core.bench.subject import Subject
from dit_core.errors import EnvironmentProblem
from dit_core.executor.allocator import environment_to_train, is_out_of_memory

WHATS = ("step", "gradients", "sampling")


class DoesNotFit(EnvironmentProblem):
    """A batch needs more memory than there is, on this side or for both sides at once."""


class Lane:
    """The other end: starts the process, asks it for blocks of steps."""

    def __init__(self, side: str, what: str, subject: Subject, **settings: Any) -> None:
        """Start `side` ("ours" or "peer") on `what` (one of WHATS) without waiting for it."""
        # The peer gets a plain environment, as its scripts do; ours gets that of a local worker.
        plain = dict(os.environ, OMP_NUM_THREADS=str(subject.threads))
        environment = environment_to_train(subject.threads) if side == "ours" else plain
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dit_core.bench.lane"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._name = f"{side}, {what}, batch {subject.batch}"
        self._say({"side": side, "what": what, "subject": subject.plain(), **settings})

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self) -> float:
        """Wait until it is warm; return and keep the seconds of the first step, with compiling."""
        self.first_s = float(self._hear()["first_s"])
        return self.first_s

    def block(self, steps: int, *, phases: bool = False) -> dict[str, Any]:
        """Return {"s", "cpu_s"} per step of a block, and `phases` of ours where asked for."""
        self._say([steps, phases])
        return self._hear()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _say(self, word: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(word) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EnvironmentProblem(
                f"a benchmark process ended with status {self._process.wait()}; see its message"
            )
        answer: dict[str, Any] = json.loads(line)
        if "out_of_memory" in answer:
            raise DoesNotFit(
                f"{self._name}: out of memory ({answer['out_of_memory']}); give a smaller --batch"
            )
        return answer


class Meter:
    """Counts steps; at the end of a block answers it and waits for the next.

    `phases` is what the loop adds up.
    """

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.phases: dict[str, float] = {}
        self.wanted = False
        self._synchronize = synchronize
        self._left = 0
        self._begin = time.perf_counter()

    def at_step(self) -> bool:
        """Take note of a step; return whether there are more to make."""
        if self._left == 0:  # the first step of all: warm now
            self._synchronize()
            _answer(first_s=time.perf_counter() - self._begin)
            return self._next()
        self._left -= 1
        if self._left:
            return True
        self._synchronize()
        seconds = time.perf_counter() - self._begin
        cpu = time.process_time() - self._cpu
        phases = {name: value / self._steps for name, value in self.phases.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        _answer(
            s=seconds / self._steps,
            cpu_s=cpu / self._steps,
            phases=phases,
            peak_bytes=peak,
            gpu=_gpu_peak(),
        )
        return self._next()

    def _next(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        self._steps, self.wanted = json.loads(line)
        self._left = self._steps
        self.phases.clear()
        self._begin = time.perf_counter()
        self._cpu = time.process_time()
        return True


def _gpu_peak() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _answer(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    """Serve one lane until its input ends; a batch that does not fit is answered as such."""
    order = json.loads(sys.stdin.readline())
    import torch

    subject = Subject(**order["subject"])
    torch.set_num_threads(subject.threads)
    if subject.device == "cpu":
        torch.set_flush_denormal(True)
    synchronize = torch.cuda.synchronize if subject.device == "cuda" else lambda: None
    try:
        _serve(order, subject, Meter(synchronize))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        _answer(out_of_memory=(str(error).splitlines() or [type(error).__name__])[0])


def _serve(order: dict[str, Any], subject: Subject, meter: Meter) -> None:
    from dit_core.bench import ours, peer

    side = order["side"]
    what = order["what"]
    if (side, what) == ("ours", "step"):
        ours.training(subject, meter)
        return
    if what == "sampling":
        work = {"ours": ours, "peer": peer}[side].sampling(
            subject, order["sampling_steps"], order["guidance"]
        )
    elif side == "ours":
        work = ours.gradients(subject)
    else:
        work = peer.training(subject, gradients_only=what == "gradients")
    more = True
    while more:
        work()
        more = meter.at_step()


if __name__ == "__main__":
    main()
