"""Several processes for one run on one machine: the caller is the first and starts the others.

The others run `dit_core.executor.follower`. They meet at a file of a private folder, so that no
port can be taken by somebody else, and each lives exactly as long as the training. Under Slurm the
scheduler starts all of them; then nothing is started here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from dit_core.device import device_of
from dit_core.errors import EnvironmentProblem
from dit_core.executor.allocator import environment_to_train
from dit_core.records.paths import RunPaths
from dit_core.records.plan import run_record
from dit_core.study.science.run import Run
from dit_core.training import distributed
from dit_core.training.distributed import Group

_LEAVE_S = 60.0  # how long the others may take to come to the end that the first one has reached


@contextlib.contextmanager
def gathered(paths: RunPaths, run: Run, group: Group) -> Iterator[Group]:
    """Yield the group to train `run` with, starting the other processes where `group` is alone.

    Raises EnvironmentProblem with the last words of a process that died.
    """
    world = run.execution.processes
    if group.world > 1 or world == 1:
        yield group
        return
    with tempfile.TemporaryDirectory(prefix="ditlab-group-") as folder:
        others = [_start(paths, run, rank, Path(folder)) for rank in range(1, world)]
        try:
            yield meet(run, 0, Path(folder))
        except RuntimeError as error:
            raise _explained(error, others, Path(folder)) from error
        else:
            for other in others:
                other.wait(_LEAVE_S)
        finally:
            for other in others:
                other.kill()  # harmless where it has ended
                other.wait()
                if other.stdin:
                    other.stdin.close()
            distributed.leave()


def _start(paths: RunPaths, run: Run, rank: int, folder: Path) -> subprocess.Popen[bytes]:
    threads = torch.get_num_threads()
    command = [
        sys.executable,
        "-m",
        "dit_core.executor.follower",
        str(rank),
        str(threads),
        str(paths.root),
        str(folder),
    ]
    environment = environment_to_train(threads)
    with open(folder / f"rank-{rank}.txt", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(json.dumps(run_record(run)).encode() + b"\n")
    process.stdin.flush()  # left open: its end tells the other that we have gone
    return process


def meet(run: Run, rank: int, folder: Path) -> Group:
    """Return the group of a run's processes once all have come to the meeting folder."""
    device = device_of(run.execution.device)
    if device.type == "cuda":
        torch.cuda.set_device(rank)
    else:
        # a host name that does not resolve must not matter
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    world = run.execution.processes
    return distributed.join(device, rank=rank, world=world, meet=f"file://{folder / 'meet'}")


def _explained(
    error: RuntimeError, others: list[subprocess.Popen[bytes]], folder: Path
) -> Exception:
    """Return the error of the process that died first, else the broken connection it left."""
    for rank, other in enumerate(others, 1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            other.wait(2.0)
        if other.returncode:
            words = (folder / f"rank-{rank}.txt").read_text(errors="replace").strip().splitlines()
            how = (
                f"signal {-other.returncode}"
                if other.returncode < 0
                else f"status {other.returncode}"
            )
            last = f": {words[-1]}" if words else ""
            return EnvironmentProblem(
                f"process {rank} of this run ended with {how}{last}; start the command again"
            )
    return error
