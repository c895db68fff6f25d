"""`ditlab gc`: what goes, what stays, and that no record ever goes."""

from __future__ import annotations

import json
import os
import time

import pytest
from housekeeping import store_with_weights

from dit_core.cli import app
from dit_core.records.disk.lease import acquire
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.upkeep.gc import LEFTOVER_S


def gc(capsys, root, *words):
    with pytest.raises(SystemExit) as leaving:
        app.main(["gc", "--results", str(root), "--json", *words])
    out = capsys.readouterr()
    assert leaving.value.code in (0, None), out.err
    return json.loads(out.out)


def everything(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def records(files):
    return {
        name: data
        for name, data in files.items()
        if "/checkpoints/" not in name and "/snapshots/" not in name
    }


def kinds(document):
    return sorted(item["kind"] for item in document["items"])


def test_dry_by_default(tmp_path, capsys):
    store_with_weights(tmp_path)
    before = everything(tmp_path)
    document = gc(capsys, tmp_path)
    assert (document["removed"], kinds(document)) == (False, ["checkpoint"] * 6)
    assert document["bytes"] > 6 * 200
    assert everything(tmp_path) == before


def test_checkpoints_of_ended_runs_go_and_records_stay(tmp_path, capsys):
    _store, _found = store_with_weights(tmp_path)
    before = everything(tmp_path)
    document = gc(capsys, tmp_path, "--go")
    assert (document["removed"], kinds(document)) == (True, ["checkpoint"] * 6)
    after = everything(tmp_path)
    assert records(after) == records(before)
    assert {n for n in before if "/snapshots/" in n} <= set(after)
    assert not any("/checkpoints/" in n for n in after)
    assert gc(capsys, tmp_path, "--go")["items"] == []


@pytest.mark.parametrize(("keep", "gone"), [(1, 2), (2, 1), (3, 0)])
def test_a_run_that_may_go_on_keeps_the_newest(tmp_path, capsys, keep, gone):
    _store, found = store_with_weights(tmp_path, 1)
    found[0].outcome.unlink()
    write_outcome(found[0], Outcome("FAILED", "disk", 4800, 1))
    document = gc(capsys, tmp_path, "--go", "--keep", str(keep))
    assert kinds(document) == ["checkpoint"] * gone
    assert sorted(p.name for p in found[0].checkpoints.iterdir())[-1] == "000000004800"


def test_a_run_that_somebody_works_on_is_left_alone(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 1)
    lease = acquire(found[0].lease)
    try:
        assert gc(capsys, tmp_path, "--go", "--snapshots", "--logs-days", "0")["items"] == []
    finally:
        lease.release()
    assert gc(capsys, tmp_path)["items"] != []


def test_logs_on_demand(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 1)
    gc(capsys, tmp_path, "--go")
    assert gc(capsys, tmp_path, "--logs-days", "1")["items"] == []
    old = time.time() - 2 * 86400
    os.utime(found[0].attempt(1) / "log.txt", (old, old))
    assert kinds(gc(capsys, tmp_path, "--logs-days", "1", "--go")) == ["log"]
    assert sorted(p.name for p in found[0].attempt(1).iterdir()) == [
        "attempt.json",
        "metrics.jsonl",
    ]


def test_snapshots_on_demand_once_measured_and_never_the_last(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 2)
    missing = next(
        p for p in found[1].evals.glob("*.json") if '"images_seen": 3200' in p.read_text()
    )
    missing.unlink()
    gc(capsys, tmp_path, "--go")
    document = gc(capsys, tmp_path, "--snapshots", "--go")
    assert [item["path"] for item in document["items"]] == [
        str(found[0].snapshot(3200).relative_to(tmp_path))
    ]
    assert found[0].snapshot(6400).exists()
    assert found[1].snapshot(3200).exists()


def test_torn_plan_stops_the_removal_of_snapshots(tmp_path, capsys):
    store, found = store_with_weights(tmp_path, 1)
    plan = store.study("made") / "plan.json"
    plan.write_bytes(plan.read_bytes()[:100])
    with pytest.raises(SystemExit) as leaving:
        app.main(["gc", "--results", str(tmp_path), "--snapshots", "--go"])
    assert leaving.value.code == 1
    assert "torn" in capsys.readouterr().err
    assert found[0].snapshot(3200).exists()


def test_leftovers_of_killed_writers(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 1)
    gc(capsys, tmp_path, "--go")
    young = found[0].root / ".outcome.json.1.tmp"
    old = found[0].checkpoints / ".000000001600.2.tmp"
    young.write_text("x")
    old.mkdir()
    past = time.time() - LEFTOVER_S - 60
    os.utime(old, (past, past))
    document = gc(capsys, tmp_path, "--go")
    assert [item["kind"] for item in document["items"]] == ["leftover"]
    assert young.exists()
    assert not old.exists()
