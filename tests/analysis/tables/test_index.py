"""The index: incremental, rebuildable, never torn, right while others write."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil

import pandas as pd
import pytest
from synthetic_store import add_eval, add_run, evaluations, fill, sciences, unsynced

from analysis.tables import index, index_workers, load, parquet_parts
from dit_core.records.paths import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def age(store, seconds=10):
    """Make every folder and file look `seconds` older, so that the index trusts their times."""
    for folder, names, files in os.walk(store.runs):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            stat = os.stat(path)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - seconds * 10**9))


def tables(store):
    return {
        t: getattr(load, t)(store.root)
        for t in ("runs", "evals", "metrics", "attempts", "problems")
    }


def assert_same(one, two):
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name], check_dtype=False)


def test_nothing_changed_reads_nothing(store, monkeypatch):
    fill(store, 4)
    age(store)
    first = index.update(store)
    monkeypatch.setattr(index, "build_parts", None)
    assert index.update(store).layers == first.layers


def test_update_equals_rebuild(store):
    """New runs, new evaluations, a longer curve, a removed run: layers equal a fresh index."""
    with unsynced():
        ids = fill(store, 12)
        age(store)
        index.update(store)
        made = list(sciences(16))
        add_run(store, made[12])
        add_run(store, made[13], outcome=None)
        add_eval(store, made[3], evaluations(9)[8], random.Random(1))
        shutil.rmtree(store.run(ids[5]).root)
        stacked = index.update(store)
        before = tables(store)
    assert len(stacked.layers) == 2
    assert stacked.hidden(0) == sorted([ids[3], ids[5]])
    assert len(before["runs"]) == 13
    assert len(before["evals"]) == 13 * 2 + 1
    index.update(store, rebuild=True)
    assert_same(before, tables(store))
    shutil.rmtree(store.index)
    assert_same(before, tables(store))


@pytest.mark.slow
def test_one_curve_is_read_by_itself_and_says_what_the_tables_say(store, monkeypatch):
    """Settled, replaced, live, changed, gone or unknown: no SQL, no look at other runs."""
    with unsynced():
        ids = fill(store, 5, points=7)
        live = add_run(store, list(sciences(6))[5], points=3, outcome=None)
        (store.run(ids[4]).attempt(1) / "metrics.jsonl").write_bytes(
            b'{"images":64,"loss":1.0,"odd":2.0}\ntorn'
        )
        age(store)
        index.update(store)
        add_eval(store, list(sciences(2))[1], evaluations(9)[8], random.Random(1))
        shutil.rmtree(store.run(ids[3]).root)
        assert len(index.update(store).layers) == 2
        add_eval(
            store, list(sciences(3))[2], evaluations(9)[8], random.Random(1)
        )  # since the index was made
    asked = [*ids, live, "none", "../runs"]
    alone = {run: load.metrics(store.root, run=run) for run in asked}
    for run in asked:
        found = load.sql(
            "SELECT * FROM metrics WHERE run_id = ? ORDER BY images", store.root, (run,)
        )
        pd.testing.assert_frame_equal(alone[run], found, check_dtype=False)
    assert [len(alone[run]) for run in asked[:5]] == [
        7,
        7,
        7,
        0,
        len(load.metrics(store.root, run=ids[4])),
    ]
    assert alone[ids[4]].attrs["problems"] > 0 == alone[ids[0]].attrs["problems"]
    monkeypatch.setattr("analysis.tables.query.connect", None)
    monkeypatch.setattr("analysis.tables.index.update", None)
    monkeypatch.setattr("analysis.tables.one_run._recorded", None)
    pd.testing.assert_frame_equal(load.metrics(store.root, run=ids[0]), alone[ids[0]])


def test_one_curve_of_a_damaged_index_comes_from_the_records(store):
    ids = fill(store, 3, points=400)
    age(store)
    state = index.update(store)
    whole = load.metrics(store.root, run=ids[0])
    part = next(p for p in state.layers[0] if p["table"] == "metrics")
    path = store.index / part["file"]
    data = path.read_bytes()
    wrong = 0
    rng = random.Random(0)
    for _ in range(20):
        torn = bytearray(data)
        torn[rng.randrange(len(torn))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(torn))
        wrong += not load.metrics(store.root, run=ids[0]).equals(whole)
    path.unlink()
    wrong += not load.metrics(store.root, run=ids[0]).equals(whole)
    assert wrong == 0


def test_live_curve_grows_in_place(store):
    """The curve of a run without outcome is appended to, which moves no folder's time."""
    with unsynced():
        run = add_run(store, next(sciences(1)), points=3, outcome=None)
        age(store)
        assert len(load.metrics(store.root)) == 3
        path = store.run(run).attempt(1) / "metrics.jsonl"
        from dit_core.records.metrics import encode

        with open(path, "ab") as file:
            file.write(encode({"images": 9999, "step": 200, "loss": 1.0}))
        os.utime(path, ns=(0, 10**9))
    assert len(load.metrics(store.root)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("small", [100, 0], ids=["melted into one", "first layer kept"])
def test_many_updates_stay_few_layers(store, monkeypatch, small):
    monkeypatch.setattr(index, "MAX_LAYERS", 3)
    monkeypatch.setattr(index, "SMALL", small)
    made = list(sciences(20))
    with unsynced():
        for science in made[:10]:
            add_run(store, science, points=5)
        age(store)
        index.update(store)
        for number, science in enumerate(made[10:]):
            add_run(store, science, points=5)
            add_eval(store, made[number % 3], evaluations(15)[5 + number], random.Random(number))
            age(store, 5)
            assert len(index.update(store).layers) <= 3
        before = tables(store)
    assert len(before["runs"]) == 20
    assert len(before["evals"]) == 50
    index.update(store, rebuild=True)
    assert_same(before, tables(store))


DAMAGE = {
    "manifest torn": lambda folder: _cut(folder / "manifest.json"),
    "manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "manifest of another kind": lambda folder: (folder / "manifest.json").write_text("[1]"),
    "part gone": lambda folder: next(folder.glob("evals-*")).unlink(),
    "part torn": lambda folder: _cut(next(folder.glob("runs-*"))),
    "part empty": lambda folder: next(folder.glob("metrics-*")).write_bytes(b""),
    "all parts gone": lambda folder: [p.unlink() for p in folder.glob("*.parquet")],
}


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_index_is_rebuilt(store, name):
    fill(store, 3)
    age(store)
    before = tables(store)
    DAMAGE[name](store.index)
    assert_same(before, tables(store))


def test_flipped_bits_in_the_index_are_never_believed(store):
    """A hundred single-bit flips: each is an error or harmless, none a wrong answer."""
    fill(store, 3, points=50)
    age(store)
    before = load.metrics(store.root)
    path = next(store.index.glob("metrics-*"))
    whole = path.read_bytes()
    rng = random.Random(7)
    noticed = wrong = 0
    for _ in range(100):
        altered = bytearray(whole)
        bit = rng.randrange(len(whole) * 8)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        try:
            found = (
                parquet_parts.open_parts(store.index, index.load(store).layers[0], "metrics")
                .to_table()
                .to_pandas()
            )
            found = found.sort_values(["run_id", "images"], ignore_index=True)
            wrong += not found.equals(before)
        except (parquet_parts.IndexDamagedError, OSError):
            noticed += 1
    print(f"100 bits flipped in the index: noticed {noticed}, wrong answers {wrong}")
    assert wrong == 0
    assert noticed > 90


@pytest.mark.slow
def test_a_query_mends_a_flipped_index(store):
    """Flips that only show when pages are read: every query still answers right."""
    fill(store, 3, points=50)
    age(store)
    before = load.metrics(store.root)
    rng = random.Random(3)
    for _ in range(8):
        path = next(p for p in store.index.glob("metrics-*"))
        altered = bytearray(path.read_bytes())
        altered[rng.randrange(4, len(altered) * 3 // 4)] ^= 16
        path.write_bytes(altered)
        pd.testing.assert_frame_equal(load.metrics(store.root), before)
        index.update(store, rebuild=True)
        for other in set(store.index.glob("metrics-*")) - {store.index / _part(store, "metrics")}:
            other.unlink()


def _part(store, table):
    return next(p["file"] for p in index.load(store).layers[0] if p["table"] == table)


def test_read_only_results(store, monkeypatch):
    fill(store, 2)
    monkeypatch.setattr(index, "server_time", _refuse_in(store.index, index.server_time))
    assert len(load.runs(store.root)) == 2
    assert not list(store.index.glob("*"))


def _refuse_in(folder, real):
    def refuse(where):
        if where == folder:
            raise PermissionError("read-only")
        return real(where)

    return refuse


def test_empty_store_stays_untouched(tmp_path):
    missing = tmp_path / "nothing"
    for table in ("runs", "evals", "results", "metrics", "attempts", "problems"):
        assert len(getattr(load, table)(missing)) == 0
    assert not missing.exists()


@pytest.mark.slow
def test_processes_build_the_same(store, monkeypatch):
    fill(store, 6)
    age(store)
    before = tables(store)
    monkeypatch.setattr(index, "MANY", 2)
    monkeypatch.setattr(index, "BATCH", 2)
    counts = []
    index.update(store, rebuild=True, progress=lambda done, total: counts.append((done, total)))
    assert counts == [(2, 6), (4, 6), (6, 6)]
    assert_same(before, tables(store))


def _write_runs(root, writer, count, out, was_seen):
    store = Store(root)
    made = []
    mine = [s for n, s in enumerate(sciences(4 * count)) if n % 4 == writer]
    with unsynced():
        for number, science in enumerate(mine):
            if number == count // 2:
                was_seen.wait(
                    60
                )  # so that the reader meets more than one state, however slow it is
            made.append(add_run(store, science, points=10))
    out.put(made)


@pytest.mark.slow
def test_writers_and_a_reader(store):
    """Four writers and a reader: no failure, no row twice, at the end every row once.

    benchmarks/index_scale.py does the same with eight writers for two minutes.
    """
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    was_seen = context.Event()
    writers = [
        context.Process(target=_write_runs, args=(store.root, i, 25, out, was_seen))
        for i in range(4)
    ]
    for process in writers:
        process.start()
    reads = seen = last = 0
    while any(process.is_alive() for process in writers):
        frame = load.runs(store.root)
        assert frame["run_id"].is_unique
        assert len(frame) >= last
        assert not load.evals(store.root)["eval_id"].duplicated().any()
        reads = reads + 1
        seen = seen + (len(frame) > last)
        last = len(frame)
        if last:
            was_seen.set()
    written = [run for _ in writers for run in out.get(timeout=60)]
    runs = load.runs(store.root)
    evals = load.evals(store.root)
    metrics = load.metrics(store.root)
    seen += len(runs) > last
    lost = len(set(written) - set(runs["run_id"]))
    print(
        f"{len(written)} runs by 4 writers, {reads} reads, {seen} of them of a new state: lost "
        f"{lost}"
    )
    assert (lost, len(written), len(runs), len(evals), len(metrics)) == (0, 100, 100, 200, 1000)
    assert seen > 1
    assert len(load.problems(store.root)) == 0


def test_manifest_is_readable_and_old_parts_go(store, monkeypatch):
    fill(store, 2)
    index.update(store)
    monkeypatch.setattr(index, "KEEP_S", -1.0)
    index.update(store, rebuild=True)
    manifest = json.loads((store.index / "manifest.json").read_text())
    named = {p["file"] for layer in manifest["layers"] for p in layer} | {
        p["file"] for p in manifest["members"]
    }
    assert {p.name for p in store.index.iterdir()} == named | {"manifest.json"}


def test_read_only_results_start_from_the_index_of_others(store, monkeypatch):
    fill(store, 3)
    age(store)
    index.update(store)
    monkeypatch.setattr(index, "server_time", _refuse_in(store.index, index.server_time))
    monkeypatch.setattr(index, "build_parts", None)
    assert len(load.runs(store.root)) == 3


def test_what_a_process_of_the_index_is_refused_reaches_the_command(tmp_path):
    store = Store(tmp_path)
    fill(store, 1, points=2, evals=1)
    with pytest.raises(FileNotFoundError, match=r"runs-.*\.parquet"):
        index_workers.build_in_processes(store, [list(store.run_ids())], tmp_path / "gone", 0, None)
