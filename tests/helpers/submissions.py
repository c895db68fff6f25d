"""What several tests of submission need."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dit_core.records.paths import Store
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.science.run import Run
from slurm.orders.intent import Intent, publish, record_job
from slurm.orders.payload import Item, Payload, read_payload
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import read_queue, uuid_in
from slurm.submission.reconcile import Order, Reconciled, reconcile

PARKED = Profile(partition="parked", gpus_per_node=4, cpus_per_process=1)

UUID = "0123456789abcdef"


def runs_in(path: Path) -> tuple[str, tuple[Run, ...]]:
    """Return (name, runs) of a study file."""
    study = load_study(path)
    return study.name, expand(study).runs


def go(
    store: Store,
    study: Path,
    profile: Profile = PARKED,
    reached: Callable[[str], None] = lambda s: None,
) -> Reconciled:
    """Submit what is missing of a study."""
    name, runs = runs_in(study)
    return reconcile(store, name, runs, profile, Order(go=True, reached=reached))


def in_child(work: Callable[[], None], out: Path | None = None) -> int:
    """Do `work` in a forked process and return its pid; its output goes to `out`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        fd = os.open(out or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Return the exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killer(at: int) -> Callable[[str], None]:
    """Return a `reached` that kills this process at the `at`-th step."""
    count = 0

    def reached(step: str) -> None:
        nonlocal count
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    return reached


def live_work(store: Store, study: str) -> Counter[str]:
    """Return how many live tasks, of submissions that were not withdrawn, work on each run or
    evaluation.
    """
    work: Counter[str] = Counter()
    for task in read_queue().tasks.values():
        intent = Intent(store.intents(study) / str(uuid_in(task.name)))
        if (
            task.phase in ("waiting", "running")
            and intent.payload.exists()
            and not intent.withdrawn()
        ):
            for item in read_payload(intent.payload).task(int(task.key.partition("_")[2] or 0)):
                work.update(
                    [item.run] if item.train else [],
                )
                work.update(item.evals)
    return work


def expected_work(runs: tuple[Run, ...]) -> Counter[str]:
    """Return every run and evaluation, once."""
    return Counter([r.run_id for r in runs] + [e.eval_id for r in runs for e in r.evaluations])


def read(path: Path) -> dict:
    """Return a JSON document."""
    return json.loads(path.read_text())


def submitted(store: Store, study: Path, job: str = "70") -> tuple:
    """Make it look as if the study had been submitted as one array; return its runs."""
    name, runs = runs_in(study)
    tasks = tuple((Item(r.run_id, True),) for r in runs)
    payload = Payload(UUID, name, str(store.root), {}, "slurm", tasks, tuple(range(len(tasks))))
    record_job(publish(store.intents(name), payload, runs, ""), job, "sbatch")
    return runs
