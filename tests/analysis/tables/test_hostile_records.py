"""Damaged curves and records: no good row lost, no bad row accepted, each bad place named."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil

import pandas as pd
import pytest
from synthetic_store import add_run, fill, sciences, unsynced

from analysis.tables.extract import read_run_folder
from analysis.tables.extract_evals import read_evals
from analysis.tables.load import evals, metrics, problems, runs
from analysis.tables.parquet_parts import build_table
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.metrics import encode
from dit_core.records.paths import Store
from dit_core.records.rows import read_metrics


def row(number, **more):
    return {"images": 64 * number, "step": number, "loss": 1 / number, **more}


GOOD = [encode(row(n)) for n in range(1, 6)]
FLIPPED = GOOD[2].replace(b'"step":3', b'"step":4')
# name: (content, training points that must come back, kinds of problems that must be named)
CURVES = {
    "whole": (b"".join(GOOD), [1, 2, 3, 4, 5], []),
    "torn tail": (b"".join(GOOD)[:-30], [1, 2, 3, 4], ["torn"]),
    "no last line end": (b"".join(GOOD)[:-1], [1, 2, 3, 4, 5], []),
    "NUL block": (GOOD[0] + b"\0" * 512 + b"\n" + GOOD[1], [1, 2], ["torn"]),
    "NUL before a row": (GOOD[0] + b"\0" * 64 + GOOD[1], [1, 2], []),
    "glued": (GOOD[0] + GOOD[1].rstrip() + GOOD[2], [1, 2, 3], []),
    "torn row glued to a whole one": (GOOD[0] + GOOD[1][:20] + GOOD[2], [1, 3], ["torn"]),
    "whole row glued to a torn one": (
        GOOD[0] + GOOD[1].rstrip() + GOOD[2][:20] + b"\n" + GOOD[3],
        [1, 2, 4],
        ["torn"],
    ),
    "altered digit": (GOOD[0] + FLIPPED + GOOD[4], [1, 5], ["altered"]),
    "checksum altered": (
        GOOD[0] + GOOD[1].replace(b'"crc":"', b'"crc":"0', 1) + GOOD[2],
        [1, 3],
        ["torn"],
    ),
    "row twice": (GOOD[0] + GOOD[1] + GOOD[1] + GOOD[2], [1, 2, 3], ["duplicate"]),
    "rows contradict": (
        GOOD[0] + GOOD[1] + encode(row(2, loss=9.0)) + GOOD[2],
        [1, 3],
        ["duplicate"],
    ),
    "text as number": (GOOD[0] + encode(row(2, loss="0.5")) + GOOD[2], [1, 3], ["type"]),
    "text as count": (GOOD[0] + encode({"images": "128", "step": 2}) + GOOD[2], [1, 3], ["type"]),
    "truth value as count": (
        GOOD[0] + encode({"images": True, "step": 2}) + GOOD[2],
        [1, 3],
        ["type"],
    ),
    "list": (GOOD[0] + encode(row(2, loss=[1.0])) + GOOD[2], [1, 3], ["type"]),
    "negative count": (GOOD[0] + encode({"images": -5, "step": 2}) + GOOD[2], [1, 3], ["type"]),
    "no count": (GOOD[0] + encode({"loss": 2.0}) + GOOD[2], [1, 3], ["type"]),
    "hostile name": (GOOD[0] + encode(row(2, **{'a" from x': 1.0})) + GOOD[2], [1, 3], ["type"]),
    "10 MB line": (
        GOOD[0] + b'{"images":' + b"1" * 10_000_000 + b"}\n" + GOOD[2],
        [1, 3],
        ["oversized"],
    ),
    "10 MB of braces": (GOOD[0] + b'{"' * 400_000 + b"\n" + GOOD[2], [1, 3], ["torn"]),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD[0] + GOOD[1], [1, 2], []),
    "CRLF": (GOOD[0].replace(b"\n", b"\r\n") + GOOD[1], [1, 2], []),
    "gzip": (gzip.compress(b"".join(GOOD)), [1, 2, 3, 4, 5], []),
    "torn gzip": (gzip.compress(GOOD[0] + GOOD[1], mtime=0)[:-6], [1, 2], ["torn"]),
    "binary": (bytes(range(256)) * 8 + b"\n" + GOOD[0], [1], ["torn"] * 8),
    "no checksum": (b'{"images":64,"step":1,"loss":1.0}\n' + GOOD[1], [2], ["torn"]),
    "JSON literals that are no numbers": (
        GOOD[0] + GOOD[1].replace(b"0.5", b"NaN") + GOOD[2],
        [1, 3],
        ["altered"],
    ),
    "empty": (b"", [], []),
}


@pytest.mark.parametrize("name", CURVES)
def test_damaged_curve(tmp_path, name):
    content, points, kinds = CURVES[name]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    rows, found = read_metrics(path)
    assert [r["step"] for r in rows] == points
    assert all(r["loss"] == 1 / r["step"] for r in rows)
    assert sorted({p.kind for p in found}) == sorted(set(kinds))
    assert all(str(path) == p.path for p in found)


def test_every_flipped_bit_is_noticed(tmp_path):
    """No altered row of a curve is believed, and the rows of other lines stay."""
    content = b"".join(GOOD)
    whole = {r["images"]: r for r in read_metrics(_write(tmp_path, content))[0]}
    accepted = lost = 0
    for bit in range(len(content) * 8):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        rows, _ = read_metrics(_write(tmp_path, bytes(altered)))
        accepted += sum(r != whole.get(r["images"]) for r in rows)
        hit = content[: bit // 8].count(b"\n")
        lost += len(
            {n + 1 for n in range(5) if n not in (hit, hit + 1)} - {r["step"] for r in rows}
        )
    print(f"{len(content) * 8} bits flipped: bad rows accepted {accepted}, good rows lost {lost}")
    assert (accepted, lost) == (0, 0)


def _write(folder, content):
    path = folder / "metrics.jsonl"
    path.write_bytes(content)
    return path


VALUES = {
    "NaN": math.nan,
    "infinite": math.inf,
    "text": "1.2",
    "negative": -3.0,
    "zero": 0.0,
    "truth value": True,
    "list": [1.0],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VALUES)
def test_impossible_metric_is_left_out_and_named(tmp_path, name):
    store = Store(tmp_path)
    run = fill(store, 1)[0]
    path = next(store.run(run).evals.glob("*.json"))
    record = read_json(path)
    record["metrics"]["fd_digits"]["value"] = VALUES[name]
    path.write_text(json.dumps(record))  # without a seal, as by another program
    frame = evals(tmp_path).set_index("eval_id")
    assert math.isnan(frame.loc[path.stem, "fd_digits"])
    assert frame["fd_digits"].notna().sum() == 1
    assert list(problems(tmp_path)["path"]) == [str(path.relative_to(tmp_path))]


def test_number_too_large_for_a_float(tmp_path):
    store = Store(tmp_path)
    run = fill(store, 1)[0]
    path = next(store.run(run).evals.glob("*.json"))
    record = read_json(path)
    text = json.dumps(record).replace(json.dumps(record["metrics"]["fd_digits"]["value"]), "1e309")
    path.write_text(text)
    assert evals(tmp_path)["fd_digits"].notna().sum() == 1
    assert list(problems(tmp_path)["kind"]) == ["nonfinite"]


RECORDS = {
    "torn evaluation": ("evals/*.json", lambda data: data[: len(data) // 2], "torn"),
    "empty evaluation": ("evals/*.json", lambda data: b"", "torn"),
    "evaluation of NULs": ("evals/*.json", lambda data: b"\0" * len(data), "torn"),
    "edited evaluation": (
        "evals/*.json",
        lambda data: data.replace(b'"seconds": 1', b'"seconds": 2'),
        "altered",
    ),
    "evaluation as list": ("evals/*.json", lambda data: b"[1]", "type"),
    "evaluation nested too deep": ("evals/*.json", lambda data: b"[" * 200_000, "torn"),
    "torn outcome": ("outcome.json", lambda data: data[:20], "torn"),
    "edited outcome": ("outcome.json", lambda data: data.replace(b"DONE", b"FINE"), "altered"),
    "unknown outcome": (
        "outcome.json",  # without a seal, as by another version
        lambda data: data.partition(b',\n "crc"')[0].replace(b"DONE", b"FINE") + b"\n}",
        "type",
    ),
    "torn run": ("run.yaml", lambda data: data[: len(data) // 2], "altered"),
    "run of NULs": ("run.yaml", lambda data: bytes(len(data)), "torn"),
    "edited science": (
        "run.yaml",
        lambda data: data.replace(b"lr: 0.0001", b"lr: 0.0002"),
        "altered",
    ),
    "run of another folder": (
        "run.yaml",
        lambda data: data.replace(b"run_id: ", b"run_id: 0"),
        "foreign",
    ),
    "torn attempt": ("attempts/*/attempt.json", lambda data: data[:20], "torn"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_damaged_record_is_named_and_the_others_stay(tmp_path, name):
    pattern, damage, kind = RECORDS[name]
    store = Store(tmp_path)
    ids = fill(store, 3)
    whole = {t.__name__: t(tmp_path) for t in (runs, evals, metrics)}
    path = next(store.run(ids[0]).root.glob(pattern))
    path.write_bytes(damage(path.read_bytes()))
    shutil.rmtree(
        store.index
    )  # an edit in place moves no folder's time; records are published by rename
    found = problems(tmp_path)
    assert str(path.relative_to(tmp_path)) in set(found["path"])
    assert kind in set(found["kind"])
    for table, before in whole.items():
        after = {"runs": runs, "evals": evals, "metrics": metrics}[table](tmp_path)
        kept = before["run_id"] != ids[0]
        others = after[after["run_id"] != ids[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            others, before[kept].reset_index(drop=True), check_dtype=False
        )
    assert len(evals(tmp_path)) == (4 if pattern == "run.yaml" else 5 if "evals" in pattern else 6)


def test_record_copied_into_another_run(tmp_path):
    store = Store(tmp_path)
    one, two = (store.run(run) for run in fill(store, 2, evals=1))
    path = next(one.evals.glob("*.json"))
    (two.evals / path.name).write_bytes(path.read_bytes())
    assert len(evals(tmp_path)) == 2
    assert list(problems(tmp_path)["kind"]) == ["foreign"]


def test_later_attempt_wins(tmp_path):
    """A second attempt resumes from a checkpoint: the later row counts at each training point."""
    store = Store(tmp_path)
    with unsynced():
        science = next(sciences(1))
        run = add_run(store, science, points=4, outcome=None)
        from dit_core.records.attempt import start_attempt

        attempt = start_attempt(store.run(run), device="cpu")
        for images in (4800, 6400, 8000):
            attempt.metrics.write({"images": images, "step": images // 64, "loss": 7.0})
        attempt.metrics.flush()
    frame = metrics(tmp_path)
    assert list(frame["images"]) == [1600, 3200, 4800, 6400, 8000]
    assert list(frame["attempt"]) == [1, 1, 2, 2, 2]
    assert list(frame["loss"][2:]) == [7.0] * 3


def test_every_flipped_bit_of_an_evaluation_is_noticed(tmp_path):
    """Each single bit of a sealed record, flipped: no other number is ever believed."""
    store = Store(tmp_path)
    paths = store.run(fill(store, 1, evals=1)[0])
    path = next(paths.evals.glob("*.json"))
    whole = path.read_bytes()
    before = read_evals(paths, [])
    noticed = accepted = 0
    bits = range(0, len(whole) * 8, 7)  # each bit of a byte in turn
    for bit in bits:
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        found: list = []
        rows = read_evals(paths, found)
        noticed += bool(found)
        accepted += rows != before and rows != []
    print(
        f"{len(bits)} bits flipped in an evaluation: noticed {noticed}, wrong values accepted "
        f"{accepted}"
    )
    assert accepted == 0
    assert noticed > len(bits) - 20  # a flip within the seal's own name or blanks may be harmless


JUNK = (
    None,
    True,
    -1,
    1 << 70,
    1e308,
    "text",
    [],
    [[1]],
    {},
    {"run_id": {"a": 1}},
    "x" * 5000,
    "\ud800",
)


def _mutations(value, place=()):
    """Yield (path of keys) of every value in a record."""
    if isinstance(value, dict):
        for key in value:
            yield (*place, key)
            yield from _mutations(value[key], (*place, key))


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["evals/*.json", "outcome.json", "attempts/*/attempt.json"])
def test_records_with_any_value_replaced_never_stop_the_index(tmp_path, pattern):
    """Junk in place of any value is read without an error, and ids stay."""
    store = Store(tmp_path)
    run = fill(store, 1, points=2, evals=1)[0]
    path = next(store.run(run).root.glob(pattern))
    whole = read_json(path)
    tried = 0
    for place in list(_mutations(whole)):
        for junk in JUNK:
            record = json.loads(json.dumps(whole))
            inner = record
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = junk
            path.write_text(json.dumps(record))
            rows = read_run_folder(store.run(run), tmp_path)
            assert {
                r["run_id"]
                for t in (rows.runs, rows.evals, rows.attempts, rows.metrics[:0])
                for r in t
            } == {run}
            for name in ("runs", "evals", "attempts"):
                if getattr(rows, name):
                    build_table(name, getattr(rows, name))
            tried += 1
    print(f"{pattern}: {tried} records with junk read")


def test_a_file_name_that_is_no_unicode_does_not_stop_the_index(tmp_path):
    store = Store(tmp_path)
    paths = store.run(fill(store, 1, evals=1)[0])
    (paths.evals / os.fsdecode(b"\xff.json")).write_text("[]")
    assert len(evals(tmp_path)) == 1
    assert list(problems(tmp_path)["kind"]) == ["type"]


def test_a_metric_cannot_take_the_name_of_another_column(tmp_path):
    store = Store(tmp_path)
    paths = store.run(fill(store, 1, evals=1)[0])
    path = next(paths.evals.glob("*.json"))
    record = read_json(path)
    record["metrics"] |= {
        "run_id": {"value": 1.0},
        "steps": {"value": 3.0},
        "A b": {"value": 1.0},
        "new": {"value": 2.0},
    }
    write_json(path, record, sealed=True)
    found: list = []
    (row,) = read_evals(paths, found)
    assert (row["run_id"], row["steps"], row["new"]) == (paths.root.name, 10, 2.0)
    assert len(found) == 3


def test_a_setting_of_another_kind_rejects_the_evaluation(tmp_path):
    store = Store(tmp_path)
    paths = store.run(fill(store, 1, evals=1)[0])
    path = next(paths.evals.glob("*.json"))
    record = read_json(path)
    record["evaluation"]["sampling"]["steps"] = "50"
    write_json(path, record, sealed=True)
    assert len(evals(tmp_path)) == 0
    assert list(problems(tmp_path)["kind"]) == ["type"]
