"""A process that trains its share of a run beside the first one and writes nothing.

`python -m dit_core.executor.follower RANK THREADS RUN_FOLDER MEETING_FOLDER`, the run as a line of
JSON on standard input. Started by `dit_core.executor.processes`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import torch

from dit_core.executor.one_run import take_share
from dit_core.executor.processes import meet
from dit_core.executor.watch import Watch
from dit_core.records.paths import RunPaths
from dit_core.records.plan import run_of
from dit_core.training import distributed


def main() -> None:
    """Train as one of several processes, as long as the parent lives."""
    rank = int(sys.argv[1])
    threads = int(sys.argv[2])
    paths = RunPaths(Path(sys.argv[3]))
    folder = Path(sys.argv[4])
    torch.set_num_threads(threads)
    run = run_of(json.loads(sys.stdin.readline()))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    take_share(paths, run, Watch(group=meet(run, rank, folder)))
    distributed.leave()


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
