"""Submitters that die, meet each other or hear nonsense, on a real Slurm."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from submissions import PARKED, ended, expected_work, go, in_child, killer, live_work, runs_in

import slurm.scheduler.commands
import slurm.submission.sbatch
import slurm.submission.site
import slurm.submission.submit
from dit_core.errors import EnvironmentProblem
from dit_core.records.paths import Store
from slurm.orders.intent import all_intents, undecided
from slurm.orders.snapshot import take_snapshot
from slurm.scheduler.commands import Answer
from slurm.scheduler.profile import Profile
from slurm.submission.sbatch import job_id

pytestmark = pytest.mark.cluster


@pytest.fixture
def one_copy(tmp_path: Path, monkeypatch):
    """Copy the code once instead of into every results folder: what is tried here is not the
    copying.
    """
    code = take_snapshot(tmp_path / "code")
    monkeypatch.setattr(slurm.submission.site, "take_snapshot", lambda folder: code)


def test_killed_at_every_step(one_copy, cluster, tmp_path: Path, write_study, record_property):
    """SIGKILL at each step of a submission of two training arrays and their evaluations."""
    study = write_study(seeds=3, at="[50%, 100%]")
    _, runs = runs_in(study)
    steps: list[str] = []
    profile = PARKED
    go(Store.at(tmp_path / "calm"), study, profile, steps.append)
    lost = doubled = kills = 0
    for at in range(len(steps)):
        store = Store.at(tmp_path / f"killed-{at}")
        kills += (
            ended(in_child(lambda s=store, a=at: go(s, study, profile, killer(a))))
            == -signal.SIGKILL
        )
        go(store, study, profile)
        again = go(store, study, profile)
        work = live_work(store, "small")
        lost += len(expected_work(runs) - work)
        doubled += len(work - expected_work(runs))
        assert not again.arrays, steps[at]
        assert not undecided(store.intents("small"))
    record_property("steps", len(steps))
    assert (kills, lost, doubled) == (len(steps), 0, 0)


def test_killed_while_sbatch_is_still_at_it(cluster, tmp_path: Path, store, write_study, fake):
    """The job comes after the recovery has looked: its intent is withdrawn, so its tasks will leave
    at once.
    """
    fake("sbatch", 'sleep 1; exec $REAL "$@"')
    study = write_study(seeds=2)
    reached: list[str] = []

    def kill_soon(step: str) -> None:
        if step == "after intent":
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    assert ended(in_child(lambda: go(store, study, reached=kill_soon))) == -signal.SIGKILL
    found = go(store, study, reached=reached.append)
    assert any("withdrawn" in line for line in found.recovered)
    time.sleep(1.5)
    _, runs = runs_in(study)
    assert live_work(store, "small") == expected_work(runs)
    assert sum(i.withdrawn() for i in all_intents(store.intents("small"))) == 1
    assert not go(store, study).arrays


@pytest.mark.slow
def test_two_submitters_at_once(one_copy, cluster, tmp_path: Path, write_study):
    """Fifty pairs of submitters: each run is submitted exactly once."""
    study = write_study(seeds=3)
    _, runs = runs_in(study)
    duplicates = lost = 0
    for k in range(50):
        store = Store.at(tmp_path / f"two-{k}")
        children = [in_child(lambda s=store: go(s, study), tmp_path / "log") for _ in range(2)]
        assert [ended(c) for c in children] == [0, 0], (tmp_path / "log").read_text()
        work = live_work(store, "small")
        duplicates += len(work - expected_work(runs))
        lost += len(expected_work(runs) - work)
        if k % 10 == 9:
            cluster.cancel_all()
    assert (duplicates, lost) == (0, 0)


def test_accepted_but_called_failed(cluster, store, write_study, fake):
    """sbatch says "Socket timed out", the job is there."""
    fake(
        "sbatch",
        '$REAL "$@" > /dev/null; echo "sbatch: error: Batch job submission failed: Socket timed '
        "out on send/recv "
        'operation" >&2; exit 1',
    )
    study = write_study(seeds=3)
    assert go(store, study).submission.tasks == 6
    _, runs = runs_in(study)
    assert live_work(store, "small") == expected_work(runs)
    assert not go(store, study).arrays


@pytest.mark.parametrize("accepted", [True, False])
def test_sbatch_hangs(cluster, store, write_study, fake, monkeypatch, accepted: bool):
    """After its time limit the job is looked up by its name."""
    fake("sbatch", ('$REAL "$@" > /dev/null; ' if accepted else "") + "exec sleep 60")
    monkeypatch.setattr(slurm.submission.submit, "SUBMIT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(slurm.submission.sbatch, "LOOK_S", (0.1, 0.3))
    study = write_study(seeds=2)
    if accepted:
        assert go(store, study).submission.tasks == 4
    else:
        with pytest.raises(EnvironmentProblem, match="no answer within its time limit"):
            go(store, study)
        fake("sbatch", 'exec $REAL "$@"')
        go(store, study)
    _, runs = runs_in(study)
    assert live_work(store, "small") == expected_work(runs)


def test_odd_answers(cluster, store, write_study, fake):
    """The right id or none; where it cannot be read, the job is found by its name."""
    for out, job in {
        "123\n": "123",
        "123;cluster\n": "123",
        "** welcome **\n\n123\n": "123",
        "sbatch: 7 jobs\n123;c_1\n": "123",
        "Submitted batch job 123\n": None,
        "123\n4200\n": None,
        "Submitted batch job 123 on cluster x\n": None,
        "": None,
        "12a\n": None,
        "job 123\n": None,
        "123 456\n": None,
        "-5\n": None,
        "1.5\n": None,
        "123\nBye\n": "123",
    }.items():
        assert job_id(Answer(0, out, "")) == job, out
    assert job_id(Answer(1, "123\n", "")) is None
    fake(
        "sbatch", 'echo "Welcome to lab, 42 users"; $REAL "$@" > /dev/null; echo "have a nice day"'
    )
    study = write_study(seeds=2)
    go(store, study)
    _, runs = runs_in(study)
    assert live_work(store, "small") == expected_work(runs)


def test_a_refusal_submits_nothing_and_says_what_to_do(cluster, store, write_study):
    study = write_study()
    for profile, words in (
        (
            Profile(partition="gqu", gpus_per_node=4),
            "partition 'gqu' is not on this cluster, did you mean 'gpu'",
        ),
        (Profile(partition="gpu", gpus_per_node=8), "no node in gpu has more than 4"),
        (
            Profile(partition="gpu", gpus_per_node=4, gpu_type="h100"),
            "gpu_type 'h100' is not in gpu",
        ),
        (
            Profile(partition="gpu", gpus_per_node=4, cpus_per_process=64),
            "no node in gpu has more than 8",
        ),
        (
            Profile(partition="gpu", gpus_per_node=4, memory_gb=4000),
            "no node in gpu has more than 7",
        ),
        (
            Profile(partition="gpu", gpus_per_node=4, cpus_per_process=1, constraint="nope"),
            "sbatch refused",
        ),
    ):
        with pytest.raises(Exception, match=words):
            go(store, study, profile)
    assert not live_work(store, "small")


def test_the_price_is_a_limit(cluster, store, write_study, write_profile, ditlab):
    study = write_study(seeds=3)
    said = ditlab(
        "submit",
        study,
        "-c",
        "lab",
        "--profile-file",
        write_profile(),
        "--go",
        "--max-device-hours",
        5,
        check=False,
    )
    assert said.returncode == 2
    assert "--max-device-hours 5: this would take at most 6 device-hours" in said.stderr
    assert not live_work(store, "small")


def test_a_line_taken_out_of_the_study_cancels_nothing(cluster, store, write_study):
    go(store, write_study(seeds=3))
    study = write_study(seeds=1)
    assert not go(store, study).arrays
    assert sum(live_work(store, "small").values()) == 6
