"""An answer of the scheduler is evidence: what it leaves out, cuts short or words oddly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from submissions import PARKED, UUID, expected_work, go, live_work, runs_in, submitted

from dit_core.errors import EnvironmentProblem, RecordError
from dit_core.records.attempt import start_attempt
from dit_core.records.disk import lease
from dit_core.records.disk.clock import server_now
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.paths import Store
from slurm.orders.intent import all_intents, publish, undecided
from slurm.orders.payload import Payload, read_runs
from slurm.scheduler.commands import Answer, clean_environment
from slurm.scheduler.queue import meaning, read_controller
from slurm.standing import absent
from slurm.standing.gather import living_owner, look
from slurm.standing.standing import Standing, stand
from slurm.submission.actions import retry_runs
from slurm.submission.decide import TAKEN_UP
from slurm.submission.sbatch import job_id

UNKNOWN_ID = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
DISABLED = 'echo "Slurm accounting storage is disabled" >&2; exit 1'
LIVE = (
    f"echo 'JobId=70 ArrayJobId=70 ArrayTaskId=0-2%3 JobName=small-{UUID} "
    f"UserId=me({os.getuid()}) JobState=PENDING Reason=Priority NodeList=(null)'"
)


@pytest.fixture
def study(write_study) -> Path:
    return write_study(seeds=3)


@pytest.fixture
def forgotten(store, study, fake, monkeypatch):
    """Return runs whose accepted tasks no source knows, and a function that looks at them."""
    runs = submitted(store, study)
    fake("squeue", "true")
    fake("scontrol", UNKNOWN_ID)
    fake("sacct", "true")

    def standings() -> list[Standing]:
        facts = look(store, "small", runs).facts
        return [stand(facts[r.run_id]) for r in runs]

    return runs, standings


def words(found: list[Standing]) -> set[str]:
    return {s.word for s in found}


def later(store: Store, monkeypatch) -> None:
    """Make the looks so far long ago, by the file server's time."""
    for path in store.intents("small").glob("*/absent.json"):
        table = read_json(path)
        write_json(path, {k: v if v == "lost" else v - absent.APART_S for k, v in table.items()})


def test_the_users_habits_reach_no_command(monkeypatch):
    habits = ("SQUEUE_PARTITION", "SQUEUE_ACCOUNT", "SQUEUE_QOS", "SQUEUE_FORMAT", "SACCT_FORMAT")
    for name in (*habits, "SLURM_TIME_FORMAT", "SINFO_FORMAT", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    left = {k for k in clean_environment() if k.startswith(("SQ", "SACCT", "SINFO", "SLURM"))}
    assert left == {"SLURM_CONF"}


def test_the_queue_is_asked_by_number_for_everything(store, study, fake, tmp_path, monkeypatch):
    fake("squeue", f'echo "$@" > {tmp_path / "said"}')
    monkeypatch.setenv("LOGNAME", "nobody")
    look(store, "small", submitted(store, study))
    said = (tmp_path / "said").read_text().split()
    assert said[said.index("-u") + 1] == str(os.getuid())
    assert {"-a", "-r"} <= set(said)
    assert said[said.index("-t") + 1] == "all"


def test_the_controller_answers_for_what_squeue_leaves_out(forgotten, fake):
    _, standings = forgotten
    fake("scontrol", LIVE)
    assert words(standings()) == {"waiting"}


def test_a_job_id_that_now_belongs_to_another_is_not_ours(forgotten, fake):
    _, standings = forgotten
    fake("scontrol", LIVE.replace(UUID, "ffffffffffffffff"))
    assert words(standings()) == {"unknown"}
    fake("scontrol", LIVE.replace(f"({os.getuid()})", "(4711)"))
    assert words(standings()) == {"unknown"}


def test_lost_takes_two_looks_apart_in_time(forgotten, store, monkeypatch):
    _, standings = forgotten
    assert words(standings()) == {"unknown"}
    assert words(standings()) == {"unknown"}, "two looks at once are one"
    later(store, monkeypatch)
    assert words(standings()) == {"lost"}
    assert words(standings()) == {"lost"}


def test_a_cut_answer_is_no_answer(forgotten, store, fake, monkeypatch):
    _, standings = forgotten
    standings()
    later(store, monkeypatch)
    fake("squeue", f'printf "70_0|RUNNING|None|gpu01|small-{UUID}\\n70_1|RUNN"')
    assert words(standings()) == {"unknown"}
    fake("squeue", "true")
    fake("sacct", 'printf "70_0|FAIL"')
    assert words(standings()) == {"unknown"}


@pytest.mark.parametrize(
    "word", ["RUNNING", "PENDING", "REQUEUED", "SUSPENDED", "RESIZING", "SOME_NEW_WORD", ""]
)
def test_what_accounting_does_not_end_is_not_lost(forgotten, store, fake, monkeypatch, word):
    _, standings = forgotten
    rows = "; ".join(f'echo "70_{i}|{word}|None|gpu01|small-{UUID}"' for i in range(3))
    fake("sacct", rows)
    for _ in range(3):
        assert words(standings()) == {"unknown"}
        later(store, monkeypatch)


def test_a_waiting_array_that_was_cancelled_stands_under_one_id(forgotten, fake):
    _, standings = forgotten
    fake("sacct", f'echo "70|CANCELLED by 0|None||small-{UUID}"')
    assert words(standings()) == {"cancelled"}


def test_words_that_a_column_cut_short():
    assert meaning("OUT_OF_ME+") == ("ended", "out of memory")
    assert meaning("CANCELLED+") == ("ended", "cancelled")
    assert meaning("RE+") == ("unknown", None)


def test_a_wish_that_nobody_can_tell_is_not_undone(forgotten, store, fake, monkeypatch):
    """Cancelled with scancel, forgotten, no accounting: `ditlab retry` alone resubmits it."""
    runs, standings = forgotten
    fake("sacct", DISABLED)
    standings()
    later(store, monkeypatch)
    found = standings()
    assert words(found) == {"unknown"}
    assert "`ditlab retry` resubmits it" in found[0].why
    retry_runs(store, runs, look(store, "small", runs))
    assert words(standings()) <= set(TAKEN_UP)


def test_a_task_that_broke_off_is_told_from_one_that_was_cancelled(
    forgotten, store, fake, monkeypatch
):
    runs, standings = forgotten
    fake("sacct", DISABLED)
    killed, cancelled, _ = [store.run(run.run_id) for run in runs]
    start_attempt(killed, device="cpu", job="70_0").metrics.close()
    start_attempt(cancelled, device="cpu", job="70_1").end(
        "stopped", images_seen=0, reason="SIGTERM"
    )
    standings()
    later(store, monkeypatch)
    assert [s.word for s in standings()] == ["lost", "unknown", "unknown"]


def test_every_last_word_is_kept(store, study, fake):
    """A time limit seen once is no riddle when Slurm has forgotten it."""
    fake("squeue", f'echo "70_0|TIMEOUT|TimeLimit||small-{UUID}"')
    fake("scontrol", UNKNOWN_ID)
    fake("sacct", DISABLED)
    runs = submitted(store, study)
    for script in (None, "true"):
        if script:
            fake("squeue", script)
        assert stand(look(store, "small", runs).facts[runs[0].run_id]).word == "stopped"


def test_an_id_among_digits_is_looked_up_by_name():
    assert job_id(Answer(0, "317\n4200\n", "")) is None
    assert job_id(Answer(0, "Submitted batch job 317\n", "")) is None
    assert job_id(Answer(0, "317;lab\n", "")) == "317"


def test_a_lease_is_as_old_as_the_file_server_says(tmp_path, monkeypatch):
    path = tmp_path / "lease.json"
    owner = {"owner": "x", "host": "elsewhere", "pid": 1, "beat": 1}
    write_json(path, owner)
    hour = lease.time.time() + 3600
    monkeypatch.setattr("time.time", lambda: hour)
    assert living_owner(path) == "process 1 on elsewhere"
    assert abs(server_now(tmp_path) - hour) > 3000
    os.utime(path, (1, 1))
    assert living_owner(path) is None


def test_a_jobs_name_is_no_path(store, study, fake, tmp_path):
    runs = submitted(store, study)
    outside = tmp_path / "evil"
    payload = Payload(UUID, "small", str(tmp_path), {}, "slurm", (), ())
    publish(outside, payload, (), "")
    name = f"../../{os.path.relpath(outside.parent, store.root)}/evil"
    fake("squeue", f'echo "71_0|RUNNING|None|gpu01|{name}-ffffffffffffffff"')
    assert set(look(store, "small", runs).book.intents) == {UUID}


def test_a_damaged_line_of_runs_is_named(store, study):
    runs = submitted(store, study)
    (intent,) = all_intents(store.intents("small"))
    text = intent.runs.read_text()
    for bad in (text.replace('"science"', '"scien', 1), text.replace("{", "[", 1)):
        intent.runs.write_text(bad)
        with pytest.raises(RecordError, match=r"runs\.jsonl"):
            read_runs(intent.runs, {r.run_id for r in runs})


def test_a_cluster_without_arrays_is_named(store, study, fake):
    fake("scontrol", 'echo "MaxArraySize = 0"')
    fake("squeue", "true")
    with pytest.raises(EnvironmentProblem, match="MaxArraySize 0 in"):
        go(store, study)


@pytest.mark.cluster
def test_a_filtered_queue_doubles_nothing(cluster, store, write_study, fake, monkeypatch):
    """The user's own filters, an empty answer and a cut one: no second live task."""
    study = write_study(seeds=3)
    _, runs = runs_in(study)
    assert len(go(store, study, PARKED).submission.jobs) == 2
    for name in ("SQUEUE_PARTITION", "SQUEUE_ACCOUNT", "SQUEUE_QOS", "LOGNAME"):
        monkeypatch.setenv(name, "gpu")
    assert not go(store, study).arrays
    for answer in ("true", '$REAL "$@" | head -n 2', 'echo "9_[0-4%1]|PENDING|None||somebody"'):
        fake("squeue", answer)
        for _ in range(3):
            assert not go(store, study).arrays
            later(store, monkeypatch)
    fake("squeue", 'exec $REAL "$@"')
    assert live_work(store, "small") == expected_work(runs)


@pytest.mark.cluster
def test_an_open_submission_is_found_by_name_without_squeue(cluster, store, write_study, fake):
    study = write_study(seeds=2)
    go(store, study)
    for intent in all_intents(store.intents("small")):
        intent.job_file.unlink()
    fake("squeue", "true")
    found = go(store, study)
    assert len([line for line in found.recovered if "adopted" in line]) == 2
    assert not undecided(store.intents("small"))
    assert not found.arrays
    assert read_controller().tasks
