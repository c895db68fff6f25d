"""A worker that stood still while another finished its run: it wakes, says so, changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from trainings import run_of, science_of

from dit_core.executor import evaluations, one_run
from dit_core.executor.one_run import execute_run
from dit_core.executor.watch import Watch
from dit_core.records.disk import bundle
from dit_core.records.evals import read_eval, write_eval
from dit_core.records.outcome import Outcome, read_outcome
from dit_core.records.paths import RunPaths

OTHER = """
import os, socket, sys
socket.gethostname = lambda: sys.argv[2]
from pathlib import Path
from dit_core.records.attempt import start_attempt
from dit_core.records.disk import lease
from dit_core.records.evals import write_eval
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.paths import RunPaths
paths = RunPaths(Path(sys.argv[1]))
lease.acquire(paths.lease, wait_s=0.2)
attempt = start_attempt(paths, device="cpu")
write_outcome(paths, Outcome("DONE", None, 4711, attempt.number))
for name in sys.argv[3:]:
    measured = {"evaluation": {}, "protocol": {}, "metrics": {"theirs": {"value": 1.0}}}
    write_eval(paths, name, measured)
os._exit(0)
"""


def finish_elsewhere(paths: RunPaths, *eval_ids: str, host: str = "elsewhere") -> None:
    """Have processes of other hosts take the run over and finish it, one after another."""
    subprocess.run([sys.executable, "-c", OTHER, str(paths.root), host, *eval_ids], check=True)


@pytest.fixture
def run():
    run = run_of(science_of(steps=30))
    return replace(run, execution=run.execution.model_copy(update={"save_every_images": 64}))


@pytest.mark.parametrize("moment", ["step", "publish", "swap", "end", "failure", "two"])
def test_a_zombie_of_a_training_changes_nothing(store, run, monkeypatch, moment):
    paths = store.run(run.run_id)
    gone = []

    def once(*_: object) -> None:
        if not gone:
            gone.append(True)
            finish_elsewhere(paths)
            if moment == "two":
                finish_elsewhere(paths, host="a third place")

    watch = Watch(on_progress=once) if moment in ("step", "two") else Watch()
    places = {
        "publish": (bundle, "_write", True),
        "swap": (bundle, "sync_folder", False),
        "end": (one_run, "_ended", False),
        "failure": (one_run, "train", True),
    }
    if moment in places:
        module, name, before = places[moment]
        real = getattr(module, name)

        def around(*given):
            done = real(*given) if before else None
            once()
            if moment == "failure":
                raise RuntimeError("a late error")
            return done if before else real(*given)

        monkeypatch.setattr(module, name, around)
    result = execute_run(store, run, watch)
    assert gone
    assert (result.how, "took this work over" in result.reason) == ("superseded", True)
    found = read_outcome(paths)
    assert found == Outcome("DONE", None, 4711, 3 if moment == "two" else 2)


def test_a_zombie_of_an_evaluation_leaves_the_record_of_the_other(store, monkeypatch):
    base = run_of(science_of(steps=2))
    run = replace(base, evaluations=(type("Planned", (), {"eval_id": "e" * 16})(),))
    paths = store.run(run.run_id)

    def measure(*_: object) -> None:
        finish_elsewhere(paths, "e" * 16)
        measured = {"evaluation": {}, "protocol": {}, "metrics": {"late": {"value": 2.0}}}
        write_eval(paths, "e" * 16, measured)

    monkeypatch.setattr(one_run, "_settled_by_outcome", lambda *_: one_run.Result("done"))
    monkeypatch.setattr(evaluations, "evaluate", measure)
    result = execute_run(store, run)
    assert result.how == "superseded"
    assert set(read_eval(paths, "e" * 16)["metrics"]) == {"theirs"}
    assert not paths.eval_error("e" * 16).exists()
