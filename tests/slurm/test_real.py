"""Runs on a real Slurm: preempted, killed, their code edited, their nodes lost."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from slurm_cluster import until
from submissions import go, read, runs_in

from dit_core.records.attempt import read_attempts
from dit_core.records.evals import read_eval
from dit_core.records.metrics import read_curve
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import Store
from dit_core.study.science.run import Run
from slurm.orders.intent import all_intents
from slurm.orders.snapshot import tree_hash
from slurm.scheduler.profile import Profile
from slurm.standing.gather import look
from slurm.standing.standing import stand

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
LAB = Profile(partition="gpu", gpus_per_node=4, cpus_per_process=1)
TOGETHER = LAB.model_copy(update={"evaluations": "together"})
LONG = 100_000


def trained(store: Store, run: Run, seconds: float = 240) -> None:
    """Wait until a run has an outcome; generous, for a busy machine."""
    until(store.run(run.run_id).outcome.exists, seconds)


def at_work(store: Store, run: Run, checkpoints: int = 1) -> int:
    """Wait until a run trains and has saved; return the process id."""
    paths = store.run(run.run_id)
    until(
        lambda: paths.lease.exists() and len(list(paths.checkpoints.glob("[0-9]*"))) >= checkpoints,
        240,
    )
    return read(paths.lease)["pid"]


def logs(store: Store, study: str) -> str:
    """Return all logs of a study's tasks."""
    return "\n".join(
        p.read_text()
        for i in all_intents(store.intents(study))
        for p in sorted(i.logs.glob("*.out"))
    )


def curve(store: Store, run: Run) -> list[tuple]:
    """Return the training curve without its speeds."""
    return [
        (r["images"], r["loss"], r["mse"], r["grad_norm"])
        for r in read_curve(store.run(run.run_id))
    ]


def metrics(store: Store, run: Run) -> list[dict]:
    """Return the measured values of a run."""
    return [read_eval(store.run(run.run_id), e.eval_id)["metrics"] for e in run.evaluations]


def carried_here(folder: Path, runs: tuple[Run, ...]) -> Store:
    """Carry runs out in this process, undisturbed; return the results."""
    import torch

    from dit_core.executor.one_run import execute_run

    torch.set_num_threads(1)
    store = Store.at(folder / "local")
    for run in runs:
        assert execute_run(store, run).how == "done"
    return store


def test_a_study_ends_with_the_numbers_of_a_local_run(
    cluster, store, tmp_path, write_study, ditlab
):
    """Training, evaluation in the middle while it trains, evaluation at the end; then nothing is
    left to do.
    """
    study = write_study(seeds=2, steps=40, at="[50%, 100%]")
    _, runs = runs_in(study)
    go(store, study, LAB)
    until(
        lambda: all(
            store.run(r.run_id).eval(e.eval_id).exists() for r in runs for e in r.evaluations
        ),
        400,
    )
    local = carried_here(tmp_path, runs)
    for run in runs:
        assert curve(store, run) == curve(local, run)
        assert metrics(store, run) == metrics(local, run)
    assert "weights are there" in logs(store, "small")
    assert not go(store, study, LAB).arrays
    seen = json.loads(ditlab("status", study, "--json").stdout)
    assert (seen["counts"], seen["evaluations"]) == ({"done": 2}, {"done": 4})
    assert seen["device_hours_used"] > 0
    assert not list(store.root.rglob("*.pkl"))
    assert "2 done" in ditlab("watch", study).stdout
    assert "run " + runs[0].run_id in ditlab("logs", study, "train.seed=0", "-n", 0).stdout
    proposed = json.loads(ditlab("clusters", "--json").stdout)["proposed"]
    assert proposed["gpu"]["gpus_per_node"] == 4
    added = write_study(seeds=2, steps=40, at="[50%, 80%, 100%]")
    found = go(store, added, LAB)
    assert [(len(a.tasks), a.evaluates) for _, a in found.submission.jobs] == [(2, True)]


def test_preempted_with_a_signal(cluster, store, write_study):
    """Loses at most one step; Slurm brings the task back, under the same id."""
    study = write_study(steps=2000, save=LONG)
    (run,) = runs_in(study)[1]
    go(store, study, TOGETHER)
    paths = store.run(run.run_id)
    until(lambda: any(p.stat().st_size for p in paths.attempts.glob("*/metrics.jsonl")), 240)
    cluster.run(
        "sbatch",
        "-p",
        "urgent",
        "-N2",
        "--exclusive",
        "--output=/dev/null",
        "--wrap",
        "sleep 0.2",
        check=True,
    )
    trained(store, run)
    first, second = read_attempts(paths)
    assert first["end"] == "stopped"
    assert 0 < first["images_end"] == second["images_start"]
    assert second["end"] == "done"
    assert first["job"] == second["job"]


@pytest.mark.parametrize("requeue", ["slurm", "ditlab"])
def test_told_that_time_is_up(cluster, store, write_study, requeue: str):
    """USR2 as Slurm sends it before the time limit: the task has itself requeued, or the next
    submission goes on.
    """
    study = write_study(steps=2000, save=LONG)
    (run,) = runs_in(study)[1]
    profile = TOGETHER.model_copy(update={"requeue": requeue})
    ((job, _),) = go(store, study, profile).submission.jobs
    paths = store.run(run.run_id)
    until(lambda: any(p.stat().st_size for p in paths.attempts.glob("*/metrics.jsonl")), 240)
    cluster.run("scancel", "--signal=USR2", f"{job}_0", check=True)
    if requeue == "ditlab":
        until(lambda: not cluster.run("squeue", "-h", "-o", "%A").stdout, 60)
        found = go(store, study, profile)
        assert found.decision.rows[0].training.word == "stopped"
    trained(store, run)
    first, second = read_attempts(paths)
    assert (first["end"], first["reason"], second["end"]) == ("stopped", "SIGUSR2", "done")
    assert first["images_end"] == second["images_start"] > 0
    assert (first["job"] == second["job"]) == (requeue == "slurm")


def test_killed_without_warning(cluster, store, write_study, tmp_path):
    """Loses at most what was trained since the last save; resuming gives the same numbers."""
    study = write_study(steps=1500, save=800)
    (run,) = runs_in(study)[1]
    go(store, study, TOGETHER)
    paths = store.run(run.run_id)
    pid = at_work(store, run)
    before = max(int(p.name) for p in paths.checkpoints.glob("[0-9]*"))
    os.kill(pid, signal.SIGKILL)
    until(lambda: not cluster.run("squeue", "-h", "-o", "%A").stdout.split(), 30)
    assert go(store, study, TOGETHER).decision.rows[0].training.word == "stopped"
    trained(store, run)
    first, second = read_attempts(paths)
    assert first["end"] is None
    assert second["images_start"] >= before
    assert curve(store, run) == curve(carried_here(tmp_path, (run,)), run)


def test_the_node_fails_and_the_same_task_runs_again(cluster, store, write_study):
    """The node is set down under a running task: the same job starts it again, then it is done."""
    study = write_study(steps=3000, save=800)
    (run,) = runs_in(study)[1]
    job = go(store, study, TOGETHER).submission.jobs[0][0]
    at_work(store, run)
    node = cluster.run("squeue", "-h", "-j", job, "-t", "R", "-o", "%N").stdout.strip()
    cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test", check=True)
    words = {stand(look(store, "small", [run]).facts[run.run_id]).word}
    # Slurm refuses this for a node that has registered again by itself meanwhile
    # (ReturnToService=2): just as well.
    cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
    while not store.run(run.run_id).outcome.exists():
        words.add(stand(look(store, "small", [run]).facts[run.run_id]).word)
        time.sleep(0.3)
    assert words <= {"running", "waiting", "done"}
    assert {a["job"] for a in read_attempts(store.run(run.run_id))} == {f"{job}_0"}
    assert len(read_attempts(store.run(run.run_id))) >= 2


def test_cancelled_by_hand_or_by_command(cluster, store, write_study, ditlab):
    """A task cancelled in Slurm stays so until `ditlab retry`; the others are untouched."""
    study = write_study(seeds=3, steps=2000, save=800)
    _, runs = runs_in(study)
    job = go(store, study, TOGETHER).submission.jobs[0][0]
    at_work(store, runs[0])
    cluster.run("scancel", f"{job}_0", check=True)
    said = ditlab("cancel", study, "train.seed=1", "--json")
    assert json.loads(said.stdout)["tasks"] == [f"{job}_1"]
    until(lambda: cluster.run("squeue", "-h", "-r", "-o", "%K").stdout.split() == ["2"], 30)
    found = go(store, study, TOGETHER)
    assert [r.training.word for r in found.decision.rows[:2]] == ["cancelled", "cancelled"]
    assert found.decision.rows[2].training.word in ("running", "waiting", "done")
    assert not found.arrays
    assert "cancel" in ditlab("why", study, "train.seed=0").stdout
    assert ditlab("retry", study, "train.seed=0,1").stdout.startswith("2 runs")
    assert len(go(store, study, TOGETHER).submission.jobs[0][1].tasks) == 2


def test_queued_jobs_run_the_code_of_their_submission(
    cluster, store, write_study, tmp_path, monkeypatch
):
    """The tree is edited after the submission: no job runs the edited code."""
    import shutil

    import slurm.orders.snapshot

    tree = tmp_path / "tree"
    for package in slurm.orders.snapshot.PACKAGES:
        shutil.copytree(slurm.orders.snapshot.source_root() / package, tree / package)
    monkeypatch.setattr(slurm.orders.snapshot, "source_root", lambda: tree)
    study = write_study(seeds=3, steps=20)
    _, runs = runs_in(study)
    hold = LAB.model_copy(update={"partition": "parked", "evaluations": "together"})
    submitted = tree_hash(tree)
    go(store, study, hold)
    (tree / "dit_core" / "training" / "train.py").write_text(
        "raise RuntimeError('edited meanwhile')\n"
    )
    (tree / "slurm" / "worker.py").write_text("raise RuntimeError('edited meanwhile')\n")
    cluster.run("scontrol", "update", "PartitionName=parked", "State=UP", check=True)
    try:
        for run in runs:
            trained(store, run)
        payload = read(next(store.study("small").glob("intents/*/payload.json")))
        mismatched = int(payload["code"]["sha256"] != submitted) + logs(store, "small").count(
            "edited meanwhile"
        )
        assert mismatched == 0
    finally:
        cluster.run("scontrol", "update", "PartitionName=parked", "State=DOWN", check=True)


@pytest.mark.parametrize("harm", ["altered", "gone"])
def test_a_copy_that_is_not_what_was_submitted(cluster, store, write_study, monkeypatch, harm: str):
    """A clear failure before anything is trained; the next submission takes a new copy."""
    import slurm.submission.script

    monkeypatch.setattr(slurm.submission.script, "VISIBLE_S", 1)
    study = write_study(steps=20)
    (run,) = runs_in(study)[1]
    cluster.run("scontrol", "update", "PartitionName=parked", "State=DOWN", check=True)
    go(store, study, TOGETHER.model_copy(update={"partition": "parked"}))
    (code,) = (store.root / "code").glob("[0-9a-f]*")
    if harm == "gone":
        code.rename(code.with_name(".away"))
    else:
        with open(code / "dit_core" / "training" / "train.py", "a") as file:
            file.write("# edited\n")
    cluster.run("scontrol", "update", "PartitionName=parked", "State=UP", check=True)
    try:
        until(lambda: not cluster.run("squeue", "-h", "-o", "%A").stdout.split(), 120)
    finally:
        cluster.run("scontrol", "update", "PartitionName=parked", "State=DOWN", check=True)
    words = {
        "gone": r"SNAPSHOT.json is gone",
        "altered": r"the code is not what was submitted|differs from what was",
    }[harm]
    assert re.search(words, logs(store, "small"))
    assert not store.run(run.run_id).attempts.exists()
    assert go(store, study, TOGETHER).submission.tasks == 1
    trained(store, run)


def test_files_that_show_up_late(cluster, store, write_study):
    """The task starts before it can see its orders, waits, then runs."""
    study = write_study(steps=20)
    (run,) = runs_in(study)[1]
    go(store, study, TOGETHER.model_copy(update={"partition": "parked"}))
    (intent,) = all_intents(store.intents("small"))
    hidden = intent.payload.with_name(".hidden")
    intent.payload.rename(hidden)
    cluster.run("scontrol", "update", "PartitionName=parked", "State=UP", check=True)
    try:
        until(lambda: bool(cluster.run("squeue", "-h", "-t", "R", "-o", "%A").stdout), 30)
        time.sleep(3)
        assert not store.run(run.run_id).root.exists()
        hidden.rename(intent.payload)
        trained(store, run)
    finally:
        cluster.run("scontrol", "update", "PartitionName=parked", "State=DOWN", check=True)
    assert read_outcome(store.run(run.run_id)).outcome == "DONE"


def test_the_results_folder_is_probed(cluster, store, write_study, write_profile, ditlab):
    study = write_study(steps=20)
    said = ditlab(
        "submit",
        study,
        "-c",
        "lab",
        "--profile-file",
        write_profile(),
        "--go",
        "--probe",
        "--estimate",
    )
    assert "submitted 2 tasks" in said.stdout
    assert "first start, as Slurm estimates" in said.stdout


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_processes_give_the_numbers_of_one(
    cluster, store, write_study, tmp_path, nodes: int, record_property
):
    """Two processes, on one node and on two, against one process here."""
    study = write_study(steps=30, processes=2)
    (run,) = runs_in(study)[1]
    go(store, study, LAB.model_copy(update={"processes_per_node": 2 // nodes}))
    trained(store, run)
    alone = replace(run, execution=run.execution.model_copy(update={"processes": 1}))
    pairs = list(zip(curve(store, run), curve(carried_here(tmp_path, (alone,)), run), strict=True))
    worst = max(
        abs(a - b) / abs(b)
        for mine, theirs in pairs
        for a, b in zip(mine[1:], theirs[1:], strict=True)
    )
    record_property("largest_relative_difference", worst)
    assert worst < 1e-4
