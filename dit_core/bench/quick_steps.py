"""The process behind a quick calibration: real training steps and forward passes, one line each.

The order comes as one line of JSON on its input; every shape is answered with one line.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from dit_core.data.load import Dataset, load_data
from dit_core.data.memory import ArrayDataset
from dit_core.device import device_of
from dit_core.records.attempt import start_attempt
from dit_core.records.paths import RunPaths
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science
from dit_core.training import train as loop

_WARM = 3  # steps that are not counted
_STEPS = 40
_SECONDS = 0.4
_SAMPLES = 256  # images of stand-in data; and of a forward pass


class _Enough(BaseException):
    """Ends the loop from within."""


class _Clock:
    """The times at which steps ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def mark(self, part: str) -> None:
        """Note the end of a step; raise _Enough after enough of them."""
        if part != "save":
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())
        counted = len(self.times) - _WARM
        if counted >= _STEPS or (counted > 1 and self.times[-1] - self.times[_WARM] > _SECONDS):
            raise _Enough

    def step_s(self) -> float:
        """Return the median seconds of a step that was counted."""
        times = self.times[min(_WARM, len(self.times) - 2) :]
        return statistics.median(b - a for a, b in pairwise(times))


def main() -> None:
    """Measure every shape of the order."""
    order = json.loads(sys.stdin.readline())
    torch.set_num_threads(order["threads"])
    start_s = time.time() - order["started"]
    device = device_of(order["device"])
    for plain in order["sciences"]:
        science = Science.model_validate(plain)
        found = {"step_s": step_s(science, device), "pass_s": pass_s(science, device)}
        print(json.dumps(found | {"start_s": start_s}), flush=True)


def step_s(science: Science, device: torch.device) -> float:
    """Return the seconds of one training step, in the training loop itself."""
    clock = _Clock()
    images = (_WARM + _STEPS + 1) * science.train.batch
    short = science.model_copy(
        update={"train": science.train.model_copy(update={"images": images})}
    )
    with tempfile.TemporaryDirectory(prefix="ditlab-bench-") as folder:
        paths = RunPaths(Path(folder))
        around = loop.Surroundings(
            paths=paths,
            attempt=start_attempt(paths, device=str(device)),
            execution=Execution(compile="off", log_every_images=10 * science.train.batch),
            device=device,
            snapshots=frozenset(),
            mark=clock.mark,
        )
        try:
            loop.train(short, _data(science), around)
        except _Enough:
            around.attempt.metrics.close()
    return clock.step_s()


@torch.inference_mode()
def pass_s(science: Science, device: torch.device) -> float:
    """Return the seconds of one forward pass of a sampler's batch."""
    _, forward = loop.build_state(science, Execution(compile="off"), device)
    data = science.data
    x = torch.randn(_SAMPLES, data.channels, data.height, data.width, device=device)
    t = torch.zeros(_SAMPLES, device=device)
    y = torch.arange(_SAMPLES, device=device) % data.classes
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < _SECONDS and len(seconds) < _STEPS):
        begin = time.perf_counter()
        forward(x, t, y)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
        if sum(seconds) > 3 * _SECONDS:
            break
    return statistics.median(seconds)


def _data(science: Science) -> Dataset:
    """Return the built-in set, or random numbers of the shape of the user's own."""
    data: Any = science.data
    if data.name in BUILT_IN:
        return load_data(data)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(_SAMPLES, data.channels, data.height, data.width, generator=draw)
    return ArrayDataset(x, torch.randint(0, data.classes, (_SAMPLES,), generator=draw))


if __name__ == "__main__":
    main()
