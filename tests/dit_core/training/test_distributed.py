"""One run on several processes: the same numbers, one decision for all, and no process left
behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from trainings import final_ema, paths_of, relative, rows_of, run_of, science_of

from dit_core.errors import UserError
from dit_core.executor import processes
from dit_core.executor.local import crew_for
from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.records.attempt import read_attempts
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import Store
from dit_core.training.distributed import Group


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def carry(folder, run, **watch):
    return execute_run(Store(folder), run, Watch(**watch))


@pytest.mark.slow
@pytest.mark.parametrize("flow", [False, True], ids=["ddpm", "flow"])
def test_one_two_and_four_processes_train_the_same(tmp_path, flow):
    science = science_of(steps=200, batch=16, lr=1e-4, ema=0.99, flow=flow)
    runs = {n: run_of(science, processes=n) for n in ((1, 2, 4) if not flow else (1, 2))}
    for n, run in runs.items():
        assert carry(tmp_path / str(n), run).how == "done"
    one = paths_of(tmp_path / "1", runs[1])
    assert len(rows_of(one)) == 200
    for n in list(runs)[1:]:
        other = paths_of(tmp_path / str(n), runs[n])
        loss = max(
            abs(a[2] - b[2]) / abs(a[2]) for a, b in zip(rows_of(one), rows_of(other), strict=True)
        )
        ema = relative(final_ema(one, science), final_ema(other, science))
        print(f"1 against {n} processes after 200 steps: loss {loss:.1e}, EMA {ema:.1e} relative")
        assert loss < 1e-5
        assert ema < 1e-5


@pytest.mark.slow
def test_a_stop_is_one_decision_and_the_next_start_goes_on(tmp_path):
    science = science_of(steps=20)
    run = run_of(science, processes=2)
    calls = iter(range(10**6))
    stopped = carry(tmp_path, run, should_stop=lambda: "SIGUSR2" if next(calls) >= 7 else None)
    paths = paths_of(tmp_path, run)
    assert (stopped.how, stopped.reason) == ("stopped", "SIGUSR2")
    assert max(paths.checkpoints.iterdir()).name == f"{8 * 16:012d}"
    assert carry(tmp_path, run_of(science)).how == "done"  # the rest on one process
    assert len(rows_of(paths)) == 20
    carry(tmp_path / "calm", run_of(science))
    calm = paths_of(tmp_path / "calm", run)
    assert relative(final_ema(calm, science), final_ema(paths, science)) < 1e-5


_FOLLOWER = """
import math, sys
from dit_core.executor import follower
from dit_core.training import train
plain = train.make_objective
def poisoned(cfg):
    objective, steps = plain(cfg), iter(range(10**6))
    class Wrapped:
        def loss(self, *args):
            terms = objective.loss(*args)
            factor = {value} if next(steps) == 5 else 1.0
            return {{name: term * factor for name, term in terms.items()}}
    return Wrapped()
train.make_objective = poisoned
follower.main()
"""


def _with_followers(monkeypatch, code: str) -> None:
    """Have the other processes of a group run `code` instead of the plain module."""
    plain = subprocess.Popen

    def start(command, **options):
        if "dit_core.executor.follower" in command:
            at = command.index("dit_core.executor.follower")
            command = [command[0], "-c", code, *command[at + 1 :]]
        return plain(command, **options)

    monkeypatch.setattr(processes.subprocess, "Popen", start)


@pytest.mark.slow
def test_a_nan_on_one_process_stops_all_before_the_step(tmp_path, monkeypatch):
    _with_followers(monkeypatch, _FOLLOWER.format(value="math.nan"))
    run = run_of(science_of(steps=12), processes=2, save_every_images=16)
    carried = carry(tmp_path, run)
    paths = paths_of(tmp_path, run)
    assert carried.how == "diverged"
    assert read_outcome(paths).images_seen == 5 * 16
    assert [attempt["processes"] for attempt in read_attempts(paths)] == [2]
    assert max(paths.checkpoints.iterdir()).name == f"{5 * 16:012d}"
    assert not any(paths.evals.glob("*")) if paths.evals.exists() else True


@pytest.mark.slow
def test_a_process_that_dies_fails_the_run_and_the_next_start_goes_on(tmp_path, monkeypatch):
    _with_followers(monkeypatch, _FOLLOWER.format(value="sys.exit('no memory here')"))
    run = run_of(science_of(steps=12), processes=2, save_every_images=2 * 16)
    carried = carry(tmp_path, run)
    assert carried.how == "failed"
    assert "process 1 of this run" in carried.reason
    assert "no memory here" in carried.reason
    monkeypatch.undo()
    assert carry(tmp_path, run).how == "done"
    assert read_attempts(paths_of(tmp_path, run))[-1]["images_start"] == 4 * 16


@pytest.mark.slow
def test_no_process_outlives_the_first(tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2] / "helpers")!r})
import torch
from trainings import run_of, science_of
from dit_core.executor.one_run import execute_run
from dit_core.records.paths import Store
torch.set_num_threads(1)
print("go", flush=True)
store = Store(Path({str(tmp_path)!r}))
execute_run(store, run_of(science_of(steps=100000), processes=2))
"""
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    other = _wait_for(lambda: _child_of(first.pid), 60)
    timer = threading.Timer(2.0, lambda: None)
    timer.start()
    timer.join()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert _wait_for(lambda: not Path(f"/proc/{other}").exists() or _is_dead(other), 60)


def _child_of(pid: int) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) == pid and b"dit_core.executor.follower" in words:
                return int(entry.name)
    return None


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _wait_for(what, limit_s: float):
    deadline = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(
        UserError, match=r"batch 16 does not divide over 3 processes; these do: \[1, 2, 4, 8, 16\]"
    ):
        Group(0, 3).share(16)
    assert Group(1, 2).share(16) == slice(8, 16)


def test_processes_share_the_machine(monkeypatch):
    from dit_core.executor import local

    monkeypatch.setattr(local, "_visible_gpus", lambda: tuple("01234567"))
    runs = tuple(
        run_of(science_of(seed=seed), processes=4, device="auto", threads=None) for seed in range(5)
    )
    crew = crew_for(runs)
    assert crew.workers == 2
    assert crew.gpus == ("0,1,2,3", "4,5,6,7")
    monkeypatch.setattr(local, "_visible_gpus", tuple)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    crew = crew_for(runs)
    assert (crew.workers, crew.threads, crew.gpus) == (2, 1, None)
