"""run.yaml is written once and compared ever after; outcomes and evaluations are whole or
absent.
"""

from __future__ import annotations

import pytest
import yaml

from dit_core.errors import RecordError, RunConflict
from dit_core.records.attempt import read_attempts, start_attempt
from dit_core.records.evals import read_eval, write_eval
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.run_record import open_run, read_science
from dit_core.study.science.ids import run_id


def test_a_run_is_written_once_and_read_back(store, tiny):
    paths = store.run(run_id(tiny))
    open_run(paths, tiny)
    before = paths.run_yaml.stat().st_mtime_ns
    open_run(paths, tiny)
    assert paths.run_yaml.stat().st_mtime_ns == before
    assert read_science(paths) == tiny


def test_another_science_in_the_folder_is_refused_with_the_difference(store, tiny):
    paths = store.run(run_id(tiny))
    open_run(paths, tiny)
    other = tiny.model_copy(update={"train": tiny.train.model_copy(update={"lr": 0.5})})
    with pytest.raises(RunConflict, match=r"train\.lr is 0\.001 there and 0\.5 here"):
        open_run(paths, other)


def test_an_edited_run_is_noticed_by_its_own_hash(store, tiny):
    paths = store.run(run_id(tiny))
    open_run(paths, tiny)
    record = yaml.safe_load(paths.run_yaml.read_text())
    record["science"]["train"]["lr"] = 0.5
    paths.run_yaml.write_text(yaml.safe_dump(record))
    with pytest.raises(RecordError, match="does not give its own hash"):
        read_science(paths)


def test_a_forced_collision_of_ids_is_an_error(store, tiny, monkeypatch):
    other = tiny.model_copy(update={"train": tiny.train.model_copy(update={"seed": 7})})
    paths = store.run("0123456789abcdef")
    open_run(paths, tiny)
    with pytest.raises(RunConflict, match=r"train\.seed"):
        open_run(paths, other)


def test_attempts_count_up_and_survive_a_kill_before_their_record(store, tiny):
    paths = store.run(run_id(tiny))
    start_attempt(paths, device="cpu").end("stopped", images_seen=32)
    paths.attempt(2).mkdir()
    third = start_attempt(paths, device="cpu")
    third.end("done", images_seen=64)
    assert [a["attempt"] for a in read_attempts(paths)] == [1, 2, 3]
    assert [a.get("end") for a in read_attempts(paths)] == ["stopped", None, "done"]


def test_an_outcome_is_read_back_or_named_as_torn(store, tiny):
    paths = store.run(run_id(tiny))
    assert read_outcome(paths) is None
    write_outcome(paths, Outcome("DONE", None, 960, 1))
    assert read_outcome(paths) == Outcome("DONE", None, 960, 1)
    paths.outcome.write_text('{"outcome": "DONE"}')
    with pytest.raises(RecordError, match=r"outcome\.json: lacks 'reason'"):
        read_outcome(paths)
    paths.outcome.write_text('{"outco')
    with pytest.raises(RecordError, match="not readable as JSON"):
        read_outcome(paths)


def test_an_evaluation_of_another_run_is_refused(store):
    mine = store.run("a" * 16)
    other = store.run("b" * 16)
    facts = {
        "evaluation": {},
        "protocol": {},
        "metrics": {"fd_digits": {"value": 1.5, "low": None, "high": None}},
    }
    write_eval(mine, "e" * 16, facts)
    other.evals.mkdir(parents=True)
    other.eval("e" * 16).write_bytes(mine.eval("e" * 16).read_bytes())
    assert read_eval(mine, "e" * 16)["metrics"]["fd_digits"]["value"] == 1.5
    with pytest.raises(RecordError, match="a moved file"):
        read_eval(other, "e" * 16)
    assert read_eval(mine, "f" * 16) is None
