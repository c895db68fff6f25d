"""The index and queries at scale.

    python benchmarks/index_scale.py [--runs 100000] [--evals 10] [--points 100]

Writes a made-up store through the record code (without fsync), builds the index, changes 100 runs,
updates the index, runs ten typical queries, reads one curve, and prints one JSON document whose
`bounds` compare each figure with its limit. 100,000 runs are 1.5 million small files: 8 GB of disk
and most of the time. `--writers 8 --seconds 120` instead lets that many processes write while this
one reads. The store lies in a temporary folder and is removed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[1] / "tests" / "helpers"),
]

from synthetic_store import add_eval, add_run, evaluations, plan, sciences, unsynced  # noqa: E402

from analysis.tables import index, load, query  # noqa: E402
from dit_core.records.paths import Store  # noqa: E402

QUESTIONS = {
    "count by outcome": "SELECT outcome, count(*) FROM runs GROUP BY 1",
    "best ten": "SELECT run_id, fd_digits FROM evals ORDER BY fd_digits LIMIT 10",
    "mean by size and patch": "SELECT model_size, patch, avg(fd_digits) FROM results GROUP BY ALL",
    "one size at 50 steps": (
        "SELECT patch, min(fd_digits) FROM results "
        "WHERE model_size = 'XS' AND steps = 50 GROUP BY ALL"
    ),
    "one run's evaluations": "SELECT * FROM evals WHERE run_id = '{run}'",
    "hours by study": (
        "SELECT m.study, sum(r.device_hours) "
        "FROM (SELECT DISTINCT study, run_id FROM members) m JOIN runs r USING (run_id) GROUP BY 1"
    ),
    "correlation of compute and quality": (
        "SELECT corr(ln(fwd_gmacs), ln(fd_digits)) FROM results WHERE steps = 50"
    ),
    "seeds' spread": (
        "SELECT model_size, patch, conditioning, stddev(fd_digits) "
        "FROM results WHERE steps = 50 GROUP BY ALL"
    ),
    "last loss of every run": (
        "SELECT run_id, max_by(loss, images) FROM metrics GROUP BY 1 LIMIT 10"
    ),
    "runs without an evaluation": (
        "SELECT count(*) FROM runs WHERE run_id NOT IN (SELECT run_id FROM evals)"
    ),
}
STUDIES = 10
RUN_BYTES = 20 * 4096  # a run's files and folders, a block each
BOUNDS = {
    "first_index_s": 120.0,
    "update_changed_s": 3.0,
    "slowest_query_s": 1.0,
    "curve_by_itself_first_ms": 50.0,
    "peak_gb": 2.0,
}
TABLES = ("runs", "evals", "metrics")


def write_slice(root: str, first: int, count: int, points: int, evals: int) -> int:
    """Write the runs number `first` to `first + count`; return how many."""
    store = Store(Path(root))
    with unsynced():
        for science in sciences(count, first):
            add_run(store, science, points, evals)
    return count


def write_store(root: Path, runs: int, points: int, evals: int) -> None:
    """Write the store and ten studies over it, with as many processes as there are cores."""
    step = 500
    starts = range(0, runs, step)
    share = runs // STUDIES
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(write_slice, str(root), s, min(step, runs - s), points, evals)
            for s in starts
        ]
        for number, job in enumerate(jobs, 1):
            job.result()
            print(f"\rwritten {min(number * step, runs):,} of {runs:,}", end="", file=sys.stderr)
        for job in [
            pool.submit(write_study, str(root), number, share, evals) for number in range(STUDIES)
        ]:
            job.result()
    print(file=sys.stderr)


def write_study(root: str, number: int, share: int, evals: int) -> None:
    """Write the plan of one study over its share of the runs.

    Runs in a process of its own, which gives its memory back.
    """
    with unsynced():
        plan(Store(Path(root)), f"study-{number}", share, evals, first=number * share)


def change(store: Store, runs: int, count: int) -> None:
    """Add an evaluation to `count` runs spread over the store."""
    rng = random.Random(0)
    new = evaluations(25)[24]
    with unsynced():
        for number in rng.sample(range(runs), min(count, runs)):
            add_eval(store, next(sciences(1, number)), new, rng)


def timed(work: Any) -> tuple[float, Any]:
    """Return (seconds, result) of a call."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def cpu_s() -> float:
    """Return the processor time of this process and its ended children, in seconds."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def memory_gb() -> float:
    """Return the largest resident set of this process and its children, GB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(k).ru_maxrss for k in kinds) / 1e6


def scale(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Return the figures of index and queries over one store."""
    store = Store(root)
    needed = args.runs * RUN_BYTES
    if shutil.disk_usage(root).free < needed:
        raise SystemExit(f"{root}: less than {needed / 1e9:.1f} GB free; set TMPDIR or --runs")
    wrote, _ = timed(lambda: write_store(root, args.runs, args.points, args.evals))
    written = {
        "runs": args.runs,
        "files": sum(len(names) for _, _, names in os.walk(root)),
        "expected_rows": [
            args.runs,
            args.runs * args.evals + min(args.changed, args.runs),
            args.runs * args.points,
        ],
        "write_s": round(wrote, 1),
    }
    indexed, state = index_figures(store, args)
    found = written | indexed | query_figures(state, root)
    size = sum(p.stat().st_size for p in store.index.iterdir())
    found["index_mb"] = round(size / 1e6, 1)
    found["peak_gb"] = round(memory_gb(), 2)
    found["load_average"] = os.getloadavg()[0]
    return found | {"bounds": {name: held(found[name], bound) for name, bound in BOUNDS.items()}}


def index_figures(store: Store, args: argparse.Namespace) -> tuple[dict[str, Any], index.Index]:
    """Return what the first index and two updates cost, and the index."""
    time.sleep(2.5)  # a folder touched within two seconds of a scan is read again
    cpu = cpu_s()
    first, _ = timed(lambda: index.update(store))
    first_cpu = cpu_s() - cpu
    building = memory_gb()
    idle, _ = timed(lambda: index.update(store))
    change(store, args.runs, args.changed)
    cpu = cpu_s()
    incremental, state = timed(lambda: index.update(store))
    figures = {
        "first_index_s": round(first, 1),
        "first_index_cpu_s": round(first_cpu, 1),
        "update_nothing_s": round(idle, 2),
        "changed": args.changed,
        "update_changed_s": round(incremental, 2),
        "update_cpu_s": round(cpu_s() - cpu, 2),
        "building_gb": round(building, 2),
    }
    return figures, state


def query_figures(state: index.Index, root: Path) -> dict[str, Any]:
    """Return the rows of each table, and what each question and one curve cost."""
    answers = {}
    with closing(query.connect(state)) as con:
        run = query.ask(con, "SELECT max(run_id) AS run FROM runs").to_pylist()[0]["run"]
        for name, sql in QUESTIONS.items():
            seconds = [
                timed(lambda sql=sql: query.ask(con, sql.format(run=run)))[0] for _ in range(3)
            ]
            answers[name] = {"first_s": round(seconds[0], 3), "best_s": round(min(seconds), 3)}
        curve = [
            timed(lambda: query.ask(con, "SELECT * FROM metrics WHERE run_id = ?", [run]))
            for _ in range(5)
        ]
        counts = [
            query.ask(con, f"SELECT count(*) AS n FROM {t}").to_pylist()[0]["n"] for t in TABLES
        ]
    alone = [timed(lambda: load.metrics(root, run=run))[0] for _ in range(5)]
    return {
        "rows": counts,
        "queries": answers,
        "slowest_query_s": max(a["first_s"] for a in answers.values()),
        "curve_first_ms": round(curve[0][0] * 1e3, 1),
        "curve_best_ms": round(min(c[0] for c in curve) * 1e3, 1),
        "curve_by_itself_first_ms": round(alone[0] * 1e3, 1),
        "curve_by_itself_best_ms": round(min(alone) * 1e3, 1),
    }


def held(measured: float, bound: float) -> dict[str, Any]:
    """Return a figure beside its bound."""
    return {"measured": measured, "bound": bound, "reached": measured <= bound}


def write_until(root: str, writer: int, writers: int, stop: float) -> list[str]:
    """Write runs of this writer's share until `stop`; return their ids."""
    store = Store(Path(root))
    made = []
    number = writer
    while time.time() < stop:
        made.append(add_run(store, next(sciences(1, number)), points=20, evals=2))
        number += writers
    return made


def together(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Return what a reader saw while writers wrote, and whether each row is there once."""
    stop = time.time() + args.seconds
    errors = 0
    doubled = 0
    shrunk = 0
    reads = 0
    last = 0
    with ProcessPoolExecutor(args.writers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(write_until, str(root), i, args.writers, stop) for i in range(args.writers)
        ]
        while time.time() < stop:
            try:
                frame = load.runs(root)
                measured = load.evals(root)
            except Exception as error:
                errors += 1
                print(error, file=sys.stderr)
                continue
            reads += 1
            doubled += int(
                frame["run_id"].duplicated().sum() + measured["eval_id"].duplicated().sum()
            )
            shrunk += len(frame) < last
            last = len(frame)
        written = [run for job in jobs for run in job.result()]
    runs = load.runs(root)
    measured = load.evals(root)
    curves = load.metrics(root)
    return {
        "writers": args.writers,
        "seconds": args.seconds,
        "runs_written": len(written),
        "reads": reads,
        "reader_errors": errors,
        "rows_doubled": doubled + int(runs["run_id"].duplicated().sum()),
        "reads_that_lost_rows": shrunk,
        "runs_lost": len(set(written) - set(runs["run_id"])),
        "evals_lost": 2 * len(written) - len(measured),
        "points_lost": 20 * len(written) - len(curves),
        "problems": len(load.problems(root)),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Run one of the two measurements and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--evals", type=int, default=10)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--writers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ditlab-scale-"))
    try:
        print(json.dumps(together(args, root) if args.writers else scale(args, root), indent=1))
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
