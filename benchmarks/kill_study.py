"""Kill a study with SIGKILL at random moments, resume it, and compare with an undisturbed one.

    python benchmarks/kill_study.py studies/digits.yaml --kills 10

What is killed is drawn each time: the command alone, one worker, or the command with all its
workers. Prints the counts; exits 1 unless ids and metrics are those of the undisturbed study and
nothing is missing or doubled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

TARGETS = ("command", "worker", "all")


def run_to_the_end(study: Path, results: Path) -> float:
    """Carry the study out undisturbed and return the seconds it took."""
    started = time.monotonic()
    subprocess.run(command(study, results), check=True, capture_output=True)
    return time.monotonic() - started


def run_with_kills(
    study: Path, results: Path, kills: int, within_s: float, rng: random.Random
) -> dict[str, int]:
    """Start the study, kill it `kills` times within `within_s` seconds of a start, then finish.

    Returns how many kills hit what; "late" counts kills for which the study had already finished.
    """
    hits = dict.fromkeys((*TARGETS, "late"), 0)
    for _ in range(kills):
        process = subprocess.Popen(
            command(study, results), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.3, within_s))
        if process.poll() is not None:
            hits["late"] += 1
            continue
        target = rng.choice(TARGETS)
        hits[target] += 1
        workers = [
            p
            for p in psutil.Process(process.pid).children(recursive=True)
            if "dit_core.executor.worker" in p.cmdline()
        ]
        for worker in {"command": [], "worker": workers[:1], "all": workers}[target]:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        if target == "worker":
            time.sleep(0.5)  # long enough for the command to notice and to start another worker
        process.kill()
        process.wait()
    subprocess.run(command(study, results), check=False, capture_output=True)
    subprocess.run(command(study, results), check=True, capture_output=True)
    return hits


def command(study: Path, results: Path) -> list[str]:
    """Return the command that carries the study out."""
    return [sys.executable, "-m", "dit_core.cli.app", "run", str(study), "--results", str(results)]


def evaluations(results: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the metrics of every evaluation record by (run id, evaluation id)."""
    records = [
        json.loads(path.read_bytes()) for path in sorted(results.glob("runs/*/*/evals/*.json"))
    ]
    found = {(r["run_id"], r["eval_id"]): r["metrics"] for r in records}
    assert len(found) == len(records), "an evaluation has two records"
    return found


def outcomes(results: Path) -> dict[str, str]:
    """Return the outcome of every run."""
    return {
        p.parent.name: json.loads(p.read_bytes())["outcome"]
        for p in results.glob("runs/*/*/outcome.json")
    }


def compare(calm: Path, disturbed: Path) -> dict[str, int]:
    """Return the numbers of records missing, surplus or different, and of files left behind."""
    mine = evaluations(calm)
    other = evaluations(disturbed)
    return {
        "runs": len(outcomes(calm)),
        "evaluations": len(mine),
        "missing": len(mine.keys() - other.keys())
        + len(outcomes(calm).keys() - outcomes(disturbed).keys()),
        "too many": len(other.keys() - mine.keys())
        + len(outcomes(disturbed).keys() - outcomes(calm).keys()),
        "other metrics": sum(mine[key] != other[key] for key in mine.keys() & other.keys()),
        "other outcomes": sum(
            outcomes(calm)[key] != outcomes(disturbed).get(key) for key in outcomes(calm)
        ),
        "temporary files": len([p for p in disturbed.rglob("*.tmp")]),
    }


def main() -> None:
    """Run the comparison and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--within", type=float, default=60.0, help="latest kill after a start, in seconds"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--calm", type=Path, help="results of an undisturbed study, instead of making them here"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calm = options.calm or Path(folder) / "calm"
        if options.calm is None:
            print(f"undisturbed: {run_to_the_end(options.study, calm):.0f} s")
        disturbed = Path(folder) / "disturbed"
        hits = run_with_kills(
            options.study, disturbed, options.kills, options.within, random.Random(options.seed)
        )
        counts = compare(calm, disturbed)
    print("kills:", ", ".join(f"{count} {name}" for name, count in hits.items()))
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    raise SystemExit(any(counts[name] for name in counts if name not in ("runs", "evaluations")))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
