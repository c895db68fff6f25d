"""A real Slurm with slurmdbd and real limits, and what sacct knows when squeue has forgotten."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from slurm_cluster import until
from submissions import go, runs_in

from dit_core.records.outcome import read_outcome
from slurm.scheduler.profile import Profile
from slurm.scheduler.queue import read_accounting
from slurm.standing.gather import look
from slurm.standing.standing import stand

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

# Stands in for the worker where only the queue is tried: writes the outcomes it was asked for, at
# once.
WORKER = """\
#!{python}
import json, os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.paths import Store
from slurm.orders.payload import read_payload
payload = read_payload(Path(sys.argv[-1]))
for item in payload.task(int(os.environ["SLURM_ARRAY_TASK_ID"])):
    paths = Store.at(payload.results).run(item.run)
    assert not paths.outcome.exists(), "a run was carried out twice"
    write_outcome(paths, Outcome("DONE", None, 320, 1))
    paths.evals.mkdir()
    for key in item.evals:
        paths.eval(key).write_text("{{}}")
"""


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """Return an interpreter for a profile that does the work of a task in no time."""
    path = tmp_path / "quick"
    path.write_text(WORKER.format(python=sys.executable, root=str(Path(__file__).parents[2])))
    path.chmod(0o755)
    return str(path)


def test_limits_and_memory_of_the_accounting(
    accounting_cluster, store, write_study, quick, fake, record_property
):
    """MaxSubmitJobs 100, 80 taken by others: 50 runs wait, drain and are all submitted once."""
    cluster = accounting_cluster
    cluster.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=100", check=True)
    others = (
        "sbatch",
        "--parsable",
        "-p",
        "parked",
        "--array=0-79",
        "--output=/dev/null",
        "--wrap",
        "true",
    )
    other = cluster.run(*others, check=True).stdout.strip()
    profile = Profile(
        partition="gpu", gpus_per_node=4, cpus_per_process=1, evaluations="together", python=quick
    )
    study = write_study(seeds=50)
    _, runs = runs_in(study)
    calls = 0
    submitted = 0
    while not all(store.run(r.run_id).outcome.exists() for r in runs):
        found = go(store, study, profile)
        calls += 1
        submitted += found.submission.tasks if found.submission else 0
        assert calls < 40
        until(lambda: not cluster.run("squeue", "-h", "-p", "gpu", "-o", "%A").stdout, 60)
    record_property("submissions", calls)
    assert submitted == 50
    assert calls >= 3
    waiting = cluster.run("squeue", "-h", "-r", "-j", other, "-o", "%T").stdout.split()
    assert waiting == ["PENDING"] * 80, "jobs that are none of the study's are left alone"
    cluster.run("scancel", other, check=True)
    assert all(read_outcome(store.run(r.run_id)).outcome == "DONE" for r in runs)
    _what_sacct_remembers(cluster, store, write_study, profile, fake)


def _what_sacct_remembers(cluster, store, write_study, profile, fake):
    """A task that squeue does not list is looked up elsewhere: never lost, done or failed."""
    study = write_study(name="forgotten", seeds=60)
    fresh = runs_in(study)[1][50:]
    ((job, _),) = go(
        store, study, profile.model_copy(update={"partition": "parked"})
    ).submission.jobs
    cluster.run("scancel", job, check=True)
    until(lambda: any(t.kind == "cancelled" for t in read_accounting([job]).tasks.values()), 30)
    fake("squeue", "true")
    for controller, word in ((True, "cancelled"), (False, "unknown"), (False, "cancelled")):
        for seen in store.intents("forgotten").glob("*/seen.json"):
            seen.unlink()
        silent = "echo slurm_load_jobs error: Invalid job id specified >&2; exit 1"
        fake("scontrol", 'exec $REAL "$@"' if controller else silent)
        fake("sacct", 'exec $REAL "$@"' if word == "cancelled" else "exit 1")
        words = {stand(look(store, "forgotten", fresh).facts[r.run_id]).word for r in fresh}
        assert words == {word}
