"""`ditlab doctor`: each kind of damage is named with its file and a remedy, and nothing else is."""

from __future__ import annotations

import json
import shutil

import pytest
from housekeeping import store_with_weights

from analysis.tables.index import update
from dit_core.cli import app


def doctor(capsys, root, *words):
    with pytest.raises(SystemExit) as leaving:
        app.main(["doctor", "--results", str(root), "--json", *words])
    return leaving.value.code, json.loads(capsys.readouterr().out)["problems"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def first(paths, pattern):
    return sorted(paths.root.glob(pattern))[0]


# name: (what is done, where doctor must point, kind)
DAMAGE = {
    "bit in a snapshot": (
        lambda p: flip(first(p, "snapshots/*/weights.bin")),
        "snapshots",
        "altered",
    ),
    "bit in a checkpoint": (
        lambda p: flip(first(p, "checkpoints/*/weights.bin")),
        "checkpoints",
        "altered",
    ),
    "torn snapshot": (lambda p: cut(first(p, "snapshots/*/weights.bin")), "snapshots", "torn"),
    "snapshot file gone": (
        lambda p: first(p, "snapshots/*/weights.bin").unlink(),
        "snapshots",
        "torn",
    ),
    "manifest gone": (
        lambda p: first(p, "checkpoints/*/MANIFEST.json").unlink(),
        "checkpoints",
        "torn",
    ),
    "torn manifest": (
        lambda p: cut(first(p, "checkpoints/*/MANIFEST.json")),
        "checkpoints",
        "torn",
    ),
    "last snapshot gone": (lambda p: shutil.rmtree(p.snapshot(6400)), "outcome.json", "missing"),
    "torn curve": (lambda p: cut(first(p, "attempts/*/metrics.jsonl")), "metrics.jsonl", "torn"),
    "bit in a curve": (
        lambda p: flip(first(p, "attempts/*/metrics.jsonl")),
        "metrics.jsonl",
        "altered",
    ),
    "torn evaluation": (lambda p: cut(first(p, "evals/*.json")), "evals", "torn"),
    "torn outcome": (lambda p: cut(p.outcome), "outcome.json", "torn"),
    "torn attempt": (lambda p: cut(first(p, "attempts/*/attempt.json")), "attempt.json", "torn"),
    "run.yaml gone": (lambda p: p.run_yaml.unlink(), "run.yaml", "missing"),
    "edited run.yaml": (
        lambda p: p.run_yaml.write_bytes(p.run_yaml.read_bytes().replace(b"seed: 0", b"seed: 1")),
        "run.yaml",
        "altered",
    ),
    "leftover": (lambda p: (p.root / ".outcome.json.ab.tmp").write_text("x"), ".tmp", "orphan"),
    "moved folder": (lambda p: p.root.rename(p.root.parents[1] / "zz"), "zz", "orphan"),
    "torn plan": (lambda p: cut(p.root.parents[2] / "studies/made/plan.json"), "plan.json", "torn"),
    "study without plan": (
        lambda p: (p.root.parents[2] / "studies/made/plan.json").unlink(),
        "plan.json",
        "missing",
    ),
    "torn index": (
        lambda p: cut(next((p.root.parents[2] / "index").glob("runs-*"))),
        "index",
        "altered",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_with_a_remedy(tmp_path, capsys, name):
    damage, place, kind = DAMAGE[name]
    store, found = store_with_weights(tmp_path)
    update(store)
    damage(found[0])
    code, problems = doctor(capsys, tmp_path)
    assert code == 1
    assert {p["kind"] for p in problems} == {kind}, problems
    assert all(place in p["path"] and p["remedy"] and p["detail"] for p in problems), problems
    assert not any(str(tmp_path) in p["path"] for p in problems)
    assert found[1].root.name not in json.dumps(problems)


def test_a_whole_store_has_no_problems(tmp_path, capsys):
    store, _found = store_with_weights(tmp_path)
    update(store)
    assert doctor(capsys, tmp_path) == (0, [])
    assert doctor(capsys, tmp_path / "none") == (0, [])
    with pytest.raises(SystemExit):
        app.main(["gc", "--results", str(tmp_path), "--go", "--snapshots"])
    capsys.readouterr()
    assert doctor(capsys, tmp_path) == (0, []), "what gc removes is no damage"


def test_quick_compares_sizes_only(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 1)
    flip(first(found[0], "snapshots/*/weights.bin"))
    assert doctor(capsys, tmp_path, "--quick") == (0, [])
    assert doctor(capsys, tmp_path)[0] == 1


def test_words_for_people(tmp_path, capsys):
    _store, found = store_with_weights(tmp_path, 1)
    cut(first(found[0], "evals/*.json"))
    with pytest.raises(SystemExit):
        app.main(["doctor", "--results", str(tmp_path)])
    out = capsys.readouterr().out
    assert "1 problems: 1 torn" in out
    assert "`ditlab run STUDY` measures it again" in out
