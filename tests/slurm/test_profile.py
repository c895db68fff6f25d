"""Profiles: what is allowed, what is refused, and that no value ever becomes a command."""

from __future__ import annotations

import inspect
import itertools
import os
import subprocess
from pathlib import Path

import pytest
import submitit

from dit_core.errors import EnvironmentProblem, UserError
from dit_core.records.paths import Store
from slurm.orders.snapshot import Code
from slurm.scheduler.profile import EXTRA, Profile, load_profile, parse_profile, read_profiles
from slurm.submission.script import EXIT_SETUP, Job, render
from slurm.submission.site import make_site

FULL = {
    "partition": "gpu,long",
    "account": "lab",
    "qos": "high",
    "gpus_per_node": 4,
    "gpu_type": "a100",
    "processes_per_node": 2,
    "cpus_per_process": 6,
    "memory_gb": 64,
    "minutes": 90,
    "evaluation_minutes": 10,
    "constraint": "ib&(a|b)",
    "concurrency": 7,
    "max_queued": 50,
    "runs_per_job": 2,
    "requeue": "ditlab",
    "evaluations": "together",
    "signal_s": 120,
    "setup": ["module load cuda"],
    "environment": {"A": "b c"},
    "extra": {"nodelist": "gpu[01-02]", "exclusive": True},
    "python": "/opt/py/bin/python",
    "data_roots": {"x": "/d"},
}


@pytest.fixture(autouse=True)
def srun_is_there(fake):
    fake("srun", "exit 1")


def script(raw: dict[str, object], processes: int = 1, folder: Path = Path("/r/intents/u")) -> str:
    job = Job("s-0123456789abcdef", folder, (0, 1, 4), processes, 90, "77")
    return render(parse_profile(raw, "f: lab"), job, Code(Path("/r/code/ab"), "ab"), "c")


def test_every_key_reaches_the_script_or_the_plan():
    text = script(FULL, processes=4)
    for line in (
        "--partition=gpu,long",
        "--account=lab",
        "--qos=high",
        "--gpus-per-node=a100:2",
        "--ntasks-per-node=2",
        "--nodes=2",
        "--cpus-per-task=6",
        "--mem=64GB",
        "--time=90",
        "--constraint='ib&(a|b)'",
        "--array=0-1,4%3",
        "--no-requeue",
        "--signal=USR2@120",
        "--nodelist='gpu[01-02]'",
        "--exclusive",
        "--dependency=aftercorr:77",
        "--kill-on-invalid-dep=yes",
        "--job-name=s-0123456789abcdef",
    ):
        assert f"\n#SBATCH {line}\n" in text, line
    assert "\nmodule load cuda\n" in text
    assert "\nexport A='b c'\n" in text
    assert "/opt/py/bin/python -u -m slurm.task.worker /r/intents/u/payload.json" in text
    assert "--requeue\n" in script({"requeue": "slurm"})
    assert "--array=0-1,4%2\n" in script({"concurrency": 2})


def test_the_script_is_shell(tmp_path: Path):
    path = tmp_path / "job.sh"
    path.write_text(script(FULL))
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("late_s", [0, 1, 45, 90, 91])
def test_a_job_waits_90_s_for_its_files(late_s: int, tmp_path: Path, fake):
    """Files show up `late_s` seconds late on a clock that only `sleep` moves: no real waiting."""
    code = tmp_path / "code"
    job = tmp_path / "intent"
    code.mkdir()
    job.mkdir()
    ready = f"touch {code}/SNAPSHOT.json {job}/payload.json"
    fake(
        "sleep",
        f'echo "$1" >> {tmp_path}/clock; [ $(wc -l < {tmp_path}/clock) = {late_s} ] && {ready}; '
        "true",
    )
    fake("srun", f"echo started >> {tmp_path}/started")
    if late_s == 0:
        subprocess.run(ready.split(), check=True)
    path = tmp_path / "job.sh"
    path.write_text(
        render(parse_profile({}, "f: lab"), Job("s-0", job, (0,), 1, 9), Code(code, "ab"), "c")
    )
    said = subprocess.run(["bash", path], capture_output=True, text=True, check=False, cwd=tmp_path)
    waited = (tmp_path / "clock").read_text().split() if (tmp_path / "clock").exists() else []
    assert waited == ["1"] * min(late_s, 90)
    assert (said.returncode == EXIT_SETUP) == (late_s > 90)
    assert (tmp_path / "started").exists() == (late_s <= 90)
    assert ("SNAPSHOT.json is gone, or this node cannot see it; submit again" in said.stdout) == (
        late_s > 90
    )


EVIL = [
    "a\ntouch pwn #",
    "a\rb",
    "a'b",
    'a"b',
    "a`id`",
    "$(id)",
    "a;b",
    "a b\t",
    "%j",
    "a\x00b",
    "a\u2028b",
    "-x\\y",
    "…",
    "",
]
WHERE = [
    "partition",
    "account",
    "qos",
    "gpu_type",
    "constraint",
    "python",
    "setup",
    "environment",
    "environment key",
    "extra",
    "extra key",
]


def _place(where: str, value: str) -> dict[str, object]:
    if where == "setup":
        return {"setup": [value]}
    if where == "environment":
        return {"environment": {"A": value}}
    if where == "environment key":
        return {"environment": {value: "x"}}
    if where == "extra":
        return {"extra": {"reservation": value}}
    if where == "extra key":
        return {"extra": {value: "x"}}
    return {where: value}


def test_no_value_becomes_a_command(record_property):
    """A set-up line is shell by nature: there only a second line would be an injection."""
    tried = injected = 0
    for where, value in itertools.product(WHERE, EVIL):
        if where == "setup" and value.isprintable():
            continue
        if (where, value) in {("environment", ""), ("constraint", "")}:
            continue  # an empty variable is a value, an empty constraint is none
        tried += 1
        try:
            script(_place(where, value))
        except UserError:
            continue
        injected += 1
    record_property("hostile_values", tried)
    assert injected == 0


def test_what_ditlab_manages_cannot_be_overridden():
    for key in ("job-name", "array", "output", "dependency", "signal", "wrap", "requeue", "uid"):
        assert key not in EXTRA
        with pytest.raises(UserError, match="is not an option a profile may set"):
            parse_profile({"extra": {key: "x"}}, "f: lab")
    for name in ("SLURM_CONF", "PYTHONPATH", "SBATCH_ACCOUNT", "DITLAB_COMMIT"):
        with pytest.raises(UserError, match="ditlab sets itself"):
            parse_profile({"environment": {name: "x"}}, "f: lab")


def test_every_misspelt_key_is_named():
    keys = list(Profile.model_fields)
    for key in keys:
        with pytest.raises(UserError, match="unknown key"):
            parse_profile({key + "x": 1}, "f: lab")
    with pytest.raises(UserError, match="did you mean 'partition'"):
        parse_profile({"partion": "gpu"}, "f: lab")


@pytest.mark.parametrize(
    "raw", [{"minutes": "60"}, {"minutes": 0}, {"gpus_per_node": -1}, {"requeue": "maybe"}, []]
)
def test_wrong_types_and_ranges(raw):
    with pytest.raises(UserError, match="f: lab"):
        parse_profile(raw, "f: lab")


def test_processes_must_fill_nodes():
    profile = parse_profile({"gpus_per_node": 4}, "f")
    assert (profile.shape(1), profile.shape(4), profile.shape(8)) == ((1, 1), (1, 4), (2, 4))
    with pytest.raises(UserError, match="does not fill nodes of 4"):
        profile.shape(6)
    with pytest.raises(UserError, match="needs one GPU each"):
        parse_profile({"gpus_per_node": 2, "processes_per_node": 4}, "f").shape(4)


def test_the_file(tmp_path: Path):
    path = tmp_path / "clusters.yaml"
    with pytest.raises(UserError, match="no such file"):
        load_profile("lab", path)
    path.write_text("lab: {partition: gpu}\n")
    path.chmod(0o600)
    assert load_profile("lab", path).partition == "gpu"
    with pytest.raises(UserError, match=r"no profile 'lba', did you mean 'lab'"):
        load_profile("lba", path)
    path.chmod(0o622)
    with pytest.raises(UserError, match="others may write"):
        load_profile("lab", path)
    path.chmod(0o600)
    for text in (
        "lab: &a {partition: gpu}\nb: *a\n",
        "a: {minutes: 1, minutes: 2}\n",
        "- a\n",
        "{",
        "[" * 5000,
        "1: {}\n",
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=r"clusters\.yaml"):
            read_profiles(path)


def test_others_must_not_be_able_to_change_what_runs(tmp_path: Path):
    """A folder that everybody may write to is refused."""
    store = Store(tmp_path / "results")
    for folder in (store.root, store.study("s"), store.root / "code", store.runs):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        with pytest.raises(UserError, match="others may write"):
            make_site(store, "s", Profile())
        folder.chmod(0o755)
    assert make_site(store, "s", Profile()).code.folder.is_dir()


def test_a_percent_sign_in_the_results_folder_is_refused():
    with pytest.raises(UserError, match="Slurm expands %"):
        script({}, folder=Path("/r/100%/u"))


def test_no_slurm_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(EnvironmentProblem, match="no srun on this machine"):
        script({})


def test_submitit_still_renders_a_script_around_a_command():
    """The one private method of a library that is called: slurm/scheduler/batch_text.py."""
    method = getattr(submitit.SlurmExecutor, "_make_submission_file_text", None)
    taken = None if method is None else list(inspect.signature(method).parameters)
    assert taken == ["self", "command", "uid"], (
        f"submitit {submitit.__version__} renders scripts differently ({taken}): "
        "adapt slurm/scheduler/batch_text.py or pin an older submitit"
    )
