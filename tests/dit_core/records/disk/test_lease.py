"""One owner per run: a living process keeps its lease, a dead one's is taken over."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dit_core.records.disk import lease
from dit_core.records.disk.files import write_json


def test_a_second_claim_is_refused_and_names_the_owner(tmp_path: Path):
    first = lease.acquire(tmp_path / "lease.json", job="17")
    with pytest.raises(lease.LeaseHeld, match="job 17"):
        lease.acquire(tmp_path / "lease.json")
    first.release()
    second = lease.acquire(tmp_path / "lease.json")
    second.release()
    assert not (tmp_path / "lease.json").exists()


def test_the_lease_of_a_dead_process_is_taken_over_at_once(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from dit_core.records.disk import lease;"
        "lease.acquire(Path(sys.argv[1])); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lease.json")])
    assert (tmp_path / "lease.json").exists()
    lease.acquire(tmp_path / "lease.json").release()


def test_a_foreign_host_is_watched_before_it_is_taken_for_dead(tmp_path: Path):
    path = tmp_path / "lease.json"
    write_json(
        path,
        {"owner": "x", "host": "elsewhere", "pid": 1, "pid_start": None, "job": None, "beat": 4},
    )
    mine = lease.acquire(path, wait_s=0.3)
    assert json.loads(path.read_text())["owner"] != "x"
    mine.release()


def test_a_foreign_host_whose_heart_beats_keeps_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "lease.json"
    record = {
        "owner": "x",
        "host": "elsewhere",
        "pid": 1,
        "pid_start": None,
        "job": None,
        "beat": 0,
    }
    write_json(path, record)

    def beat(seconds: float) -> None:
        record["beat"] += 1
        write_json(path, record)

    monkeypatch.setattr(lease.time, "sleep", beat)
    with pytest.raises(lease.LeaseHeld):
        lease.acquire(path, wait_s=60)


def test_a_torn_lease_names_no_owner(tmp_path: Path):
    path = tmp_path / "lease.json"
    path.write_bytes(b'{"owner": "x", "ho')
    held = lease.acquire(path)
    assert json.loads(path.read_text())["pid"] == os.getpid()
    held.release()
    assert not path.exists()


def _claim(path: Path, barrier, results) -> None:
    barrier.wait()
    try:
        held = lease.acquire(path)
        results.put("held")
        barrier.wait()
        held.release()
    except lease.LeaseHeld:
        results.put("refused")
        barrier.wait()


def test_of_eight_claims_at_once_exactly_one_holds(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    rounds = 10
    for number in range(rounds):
        barrier = context.Barrier(8)
        results = context.Queue()
        claims = [
            context.Process(target=_claim, args=(tmp_path / f"{number}.json", barrier, results))
            for _ in range(8)
        ]
        for claim in claims:
            claim.start()
        words = [results.get(timeout=20) for _ in claims]
        for claim in claims:
            claim.join()
        assert words.count("held") == 1, words
    print(f"claims at once: {rounds} rounds of 8, doubled owners 0")


def test_a_lease_taken_by_another_is_not_released(tmp_path: Path):
    mine = lease.acquire(tmp_path / "lease.json")
    other = json.loads((tmp_path / "lease.json").read_text()) | {"owner": "other"}
    write_json(tmp_path / "lease.json", other)
    mine.release()
    assert json.loads((tmp_path / "lease.json").read_text())["owner"] == "other"
