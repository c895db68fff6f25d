"""A process that was stopped, and wakes after another took over, publishes nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dit_core.records.attempt import start_attempt
from dit_core.records.disk import bundle, guard, lease
from dit_core.records.disk.fence import Superseded
from dit_core.records.disk.files import read_json, write_atomic, write_json
from dit_core.records.evals import read_eval, write_eval
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.paths import RunPaths

MEASURED = {"evaluation": {}, "protocol": {}, "seconds": 1.0, "device": "cpu"}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "runs" / "ab" / "ab00000000000000")


def take_over(path: Path) -> int:
    """Take the lease at `path` over from another process; return the new generation."""
    code = (
        "import sys, socket; socket.gethostname = lambda: 'elsewhere'; from pathlib import Path;"
        "from dit_core.records.disk import lease;"
        "held = lease.acquire(Path(sys.argv[1]), wait_s=0.2); print(held.generation); "
        "import os; sys.stdout.flush(); os._exit(0)"
    )
    command = [sys.executable, "-c", code, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_every_take_over_raises_the_generation(paths):
    generations = []
    for _ in range(3):
        held = lease.acquire(paths.lease)
        generations.append(held.generation)
        held.release()
    assert generations == [1, 2, 3]
    held = lease.acquire(paths.lease)
    assert take_over(paths.lease) == 5
    held.release()
    assert read_json(paths.lease)["generation"] == 5, "the new owner keeps what it took"


def test_nothing_is_published_under_an_older_generation(paths):
    held = lease.acquire(paths.lease)
    attempt = start_attempt(paths, device="cpu")
    folder = paths.checkpoints / "000000000064"
    bundle.publish(folder, {"a": lambda p: p.write_bytes(b"mine")}, {})
    take_over(paths.lease)
    for publish in (
        lambda: write_outcome(paths, Outcome("FAILED", "late", 0, 1)),
        lambda: write_outcome(paths, Outcome("DONE", None, 64, 1)),
        lambda: write_eval(paths, "e" * 16, {**MEASURED, "metrics": {}}),
        lambda: bundle.publish(folder, {"a": lambda p: p.write_bytes(b"late")}, {}),
        lambda: bundle.publish(paths.snapshot(64), {"a": lambda p: p.write_bytes(b"x")}, {}),
        lambda: bundle.remove(folder),
        lambda: bundle.sweep_temporaries(paths.checkpoints),
        lambda: write_atomic(paths.run_yaml, b"late"),
        lambda: attempt.note(end="failed"),
        lambda: attempt.end("failed", images_seen=0),
    ):
        with pytest.raises(Superseded, match="took this work over"):
            publish()
    assert held.lost
    assert (folder / "a").read_bytes() == b"mine"
    assert not paths.outcome.exists()
    assert not paths.snapshot(64).exists()
    assert [p for p in paths.root.rglob("*.tmp") if p.name != ".tmp"] == []
    held.release()


def test_the_claim_of_an_evaluation_covers_its_record_alone(paths):
    held = lease.acquire(paths.eval_lease("e" * 16))
    take_over(paths.eval_lease("e" * 16))
    with pytest.raises(Superseded):
        write_eval(paths, "e" * 16, {**MEASURED, "metrics": {}})
    write_eval(paths, "f" * 16, {**MEASURED, "metrics": {}})
    held.release()


def test_a_finished_record_is_never_replaced(paths):
    first = write_eval(paths, "e" * 16, {**MEASURED, "metrics": {"fd": {"value": 1.0}}})
    second = write_eval(paths, "e" * 16, {**MEASURED, "metrics": {"fd": {"value": 2.0}}})
    assert second["metrics"] == first["metrics"] == read_eval(paths, "e" * 16)["metrics"]


def test_a_result_is_not_replaced_by_another_attempts_failure(paths):
    write_outcome(paths, Outcome("FAILED", "x", 0, 1))
    write_outcome(paths, Outcome("DONE", None, 64, 2))
    write_outcome(paths, Outcome("FAILED", "late", 0, 1))
    assert read_outcome(paths) == Outcome("DONE", None, 64, 2)


def test_a_moved_folder_is_not_made_again(paths, tmp_path):
    held = lease.acquire(paths.lease)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    with pytest.raises(Superseded, match="moved or removed"):
        write_outcome(paths, Outcome("DONE", None, 64, 1))
    assert not paths.outcome.exists()
    held.release()


def test_a_removed_lease_file_alone_takes_nothing_away(paths):
    held = lease.acquire(paths.lease)
    paths.lease.unlink()
    write_outcome(paths, Outcome("DONE", None, 64, 1))
    assert read_outcome(paths) is not None
    held.release()


def _stand_in_the_lock(path: Path, inside) -> None:
    with guard.guarded(path):
        inside.set()
        os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_stopped_in_the_lock_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "WAIT_S", 0.3)
    path = tmp_path / "lease.json"
    context = multiprocessing.get_context("fork")
    inside = context.Event()
    stopped = context.Process(target=_stand_in_the_lock, args=(path, inside))
    stopped.start()
    inside.wait(10)
    time.sleep(0.1)
    began = time.monotonic()
    with pytest.raises(guard.LockStuck, match=f"process {stopped.pid} on .*kill -CONT"):
        lease.acquire(path)
    assert time.monotonic() - began < 5
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(10)
    lease.acquire(path).release()


def _claim_without_locks(path: Path, barrier, results) -> None:
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl.flock = refuse
    barrier.wait()
    try:
        held = lease.acquire(path)
        results.put("held")
        barrier.wait()
        held.release()
    except lease.LeaseHeld:
        results.put("refused")
        barrier.wait()


def test_without_locks_one_of_eight_claims_holds(tmp_path):
    context = multiprocessing.get_context("fork")
    for number in range(5):
        barrier = context.Barrier(8)
        results = context.Queue()
        path = tmp_path / f"{number}.json"
        claims = [
            context.Process(target=_claim_without_locks, args=(path, barrier, results))
            for _ in range(8)
        ]
        for claim in claims:
            claim.start()
        words = [results.get(timeout=20) for _ in claims]
        for claim in claims:
            claim.join()
        assert words.count("held") == 1, words


def test_a_process_of_another_namespace_is_not_taken_for_dead(tmp_path):
    path = tmp_path / "lease.json"
    held = lease.acquire(path)
    record = json.loads(path.read_text()) | {"space": "pid:[1]", "pid": 2**22 + 1}
    held.release()
    write_json(path, record)
    assert lease.holder(path) is not None
    mine = lease.acquire(path, wait_s=0.2)
    assert mine.generation == record["generation"] + 1
    mine.release()
