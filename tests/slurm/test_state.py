"""True state while the scheduler lies, lags or is silent, and at the size of a large study."""

from __future__ import annotations

import itertools
import time

import pytest
from submissions import PARKED, UUID, go, submitted

import slurm.scheduler.commands
from dit_core.records.disk import lease
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.paths import Store
from slurm.orders.payload import read_payload
from slurm.standing.gather import look
from slurm.standing.standing import stand
from slurm.submission.actions import release_held
from slurm.submission.overview import overview

TOGETHER = PARKED.model_copy(update={"evaluations": "together"})
SQUEUE = {
    "answers": f'for i in 0 1; do echo "70_$i|RUNNING|None|gpu01|small-{UUID}"; done; '
    f'echo "70_2|PENDING|Priority||small-{UUID}"',
    "is empty": "true",
    "fails": 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1',
    "hangs": "exec sleep 30",
    "prints a banner": 'echo "Welcome!"; echo "a|b"; echo',
    "shows others only": 'echo "9_[0-4%1]|PENDING|None||somebody"',
}
EACH = 'for i in 0 1 2; do echo "70_$i|%s"; done'  # a row for each of three tasks
SACCT = {
    "is empty": "true",
    "fails": 'echo "Slurm accounting storage is disabled" >&2; exit 1',
    "hangs": "exec sleep 30",
    "lags": EACH % f"RUNNING|None|gpu01|small-{UUID}",
    "says all completed": EACH % f"COMPLETED|None|gpu01|small-{UUID}",
    "says node failure": EACH % f"NODE_FAIL|None|gpu01|small-{UUID}",
    "knows another job of that id": EACH % "FAILED|None|gpu01|other-ffffffffffffffff",
    "prints nonsense": 'echo "|||"; echo "70_[0-2|x"',
}


def test_outages_change_no_state(store, write_study, fake, monkeypatch, record_property):
    """One run of four is done; nothing ever calls another one done, failed or diverged."""
    monkeypatch.setattr(slurm.scheduler.commands, "TIMEOUT_S", 0.2)
    runs = submitted(store, write_study(seeds=4))
    write_outcome(store.run(runs[3].run_id), Outcome("DONE", None, 320, 1))
    looks = false = 0
    for (queue, squeue), (_, sacct) in itertools.product(SQUEUE.items(), SACCT.items()):
        fake("squeue", squeue)
        fake("sacct", sacct)
        words = [stand(look(store, "small", runs).facts[r.run_id]).word for r in runs]
        looks += 1
        false += sum(w in ("done", "failed", "diverged") for w in words[:3]) + (words[3] != "done")
        if queue == "answers":
            assert words == ["running", "running", "waiting", "done"]
        if queue in ("fails", "hangs"):
            assert words == ["unknown", "unknown", "unknown", "done"]
    record_property("combinations", looks)
    assert false == 0


def test_a_heartbeat_needs_no_scheduler(store, write_study, fake):
    fake("squeue", "exit 1")
    (run,) = submitted(store, write_study())
    claim = lease.acquire(store.run(run.run_id).lease, job="70_0")
    standing = stand(look(store, "small", [run]).facts[run.run_id])
    claim.release()
    assert (standing.word, standing.why.split(" on ")[0]) == ("running", "job 70_0")


def test_last_words_are_kept_when_slurm_forgets(store, write_study, fake):
    fake("sacct", "exit 1")
    fake("squeue", f'echo "70_0|CANCELLED|None||small-{UUID}"')
    (run,) = submitted(store, write_study())
    for script in (None, "true"):
        if script:
            fake("squeue", script)
        assert stand(look(store, "small", [run]).facts[run.run_id]).word == "cancelled"


def test_only_what_slurm_itself_held_is_released(store, write_study, fake, tmp_path):
    fake(
        "squeue",
        f'echo "70_0|PENDING|launch failed requeued held||small-{UUID}"; '
        f'echo "70_1|PENDING|JobHeldUser||small-{UUID}"; echo '
        f'"70_2|RUNNING|None|gpu01|small-{UUID}"',
    )
    fake("scontrol", f'echo "$@" >> {tmp_path / "said"}')
    view = look(store, "small", submitted(store, write_study(seeds=3)))
    assert len(release_held(view)) == 1
    assert (tmp_path / "said").read_text() == "release 70_0\n"


def test_no_slurm_at_all(store, write_study, ditlab, monkeypatch, tmp_path):
    study = write_study(seeds=2)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = ditlab("status", study)
    assert "2 new" in said.stdout
    assert "squeue" not in said.stdout, "nothing was ever submitted: a silent scheduler is no news"
    submitted(store, study)
    said = ditlab("status", study)
    assert "2 unknown" in said.stdout
    assert "no squeue on this machine" in said.stdout


def test_submitting_where_there_is_no_slurm(
    store, write_study, write_profile, ditlab, monkeypatch, tmp_path
):
    study = write_study()
    profiles = write_profile()
    monkeypatch.setenv("PATH", str(tmp_path))
    said = ditlab("submit", study, "-c", "lab", "--profile-file", profiles, "--go", check=False)
    assert said.returncode == 3
    assert "Slurm's commands are not installed" in said.stderr
    assert "Traceback" not in said.stderr


def test_status_of_ten_thousand_runs(store, write_study, fake, tmp_path, record_property):
    """Under two seconds, with one squeue call and no sacct call for what is recorded."""
    calls = tmp_path / "calls"
    fake(
        "squeue",
        f"echo squeue >> {calls}; for i in $(seq 0 999); do echo "
        f'"70_$i|RUNNING|None|gpu01|small-{UUID}"; done',
    )
    fake("sacct", f"echo sacct >> {calls}; exit 1")
    study = write_study(seeds=10_000)
    runs = submitted(store, study)
    template = None
    for run in runs[1000:]:
        paths = store.run(run.run_id)
        paths.root.mkdir(parents=True)
        if template is None:
            write_outcome(paths, Outcome("DONE", None, 320, 1))
            template = paths.outcome.read_text()
        paths.outcome.write_text(template)
        paths.evals.mkdir()
        for planned in run.evaluations:
            paths.eval(planned.eval_id).write_text("{}")
    began = time.process_time(), time.monotonic()
    seen = overview(store, "small", runs, look(store, "small", runs))
    cpu = time.process_time() - began[0]
    wall = time.monotonic() - began[1]
    asked = calls.read_text().split()
    record_property("status_s", wall)
    record_property("status_cpu_s", cpu)
    assert seen["counts"] == {"done": 9000, "running": 1000}
    assert asked == ["squeue"]
    assert cpu < 2.0


@pytest.mark.cluster
def test_a_thousand_runs_are_submitted_in_seconds(cluster, store, write_study, record_property):
    """MaxArraySize 1001: 2,500 runs become three arrays; 1,000 take under ten seconds."""
    began = time.process_time(), time.monotonic()
    found = go(store, write_study(seeds=1000, at="[100%]"))
    wall = time.monotonic() - began[1]
    sizes = [len(a.tasks) for _, a in found.submission.jobs]
    record_property("submitted_s", wall)
    assert sizes == [1000, 1000]
    assert time.process_time() - began[0] < 10
    cluster.cancel_all()
    found = go(Store.at(store.root / "more"), write_study(name="large", seeds=2500), TOGETHER)
    jobs = [job for job, _ in found.submission.jobs]
    indices = cluster.run("squeue", "-h", "-r", "-o", "%F %K").stdout.splitlines()
    assert len(jobs) == 3
    assert len(indices) == len(set(indices)) == 2500
    payloads = [
        read_payload(p) for p in (store.root / "more/studies/large/intents").glob("*/payload.json")
    ]
    assert len({i.run for p in payloads for t in p.tasks for i in t}) == 2500
