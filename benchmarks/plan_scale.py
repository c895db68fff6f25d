"""How planning scales: `ditlab plan` on 100,000 runs, grids of 10^6 and 10^12, and `ditlab --help`.

    python benchmarks/plan_scale.py [--repeat 3] [--json]

Each case is a fresh process as a user starts it. "wall s" and "cpu s" are the least of the
repetitions, "MB" the peak memory of the process. Times are held against their limits in processor
time, which other programs on the machine do not stretch. The script leaves with 1 where an exit
code or a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BASE = """\
study: scale
question: How long does planning take?
base:
  model: {size: XS, patch: 2}
  train: {duration: 100 steps, batch: 64}
evaluate: {at: [50%, end], steps: [10, 50]}
"""
TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
ONES = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
FIELDS = {
    "train.seed": TEN,
    "train.warmup_images": TEN,
    "train.weight_decay": TEN,
    "train.lr": ONES,
    "model.mlp_ratio": ONES,
    "train.clip": ONES,
    "model.layer_scale": ONES,
    "train.batch": ONES,
    "objective.timesteps": "[910, 920, 930, 940, 950, 960, 970, 980, 990, 1000]",
    "train.beta1": "[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
    "train.beta2": "[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
    "train.label_dropout": "[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
}
EXCLUDE = "exclude: [{train.seed: 3, train.lr: [1, 2]}, {train.warmup_images: 5}]\n"


@dataclass(frozen=True)
class Case:
    """One command, what it must end in, and its limits."""

    name: str
    study: str | None
    code: int
    limit_s: float
    limit_mb: float = 1000.0


@dataclass(frozen=True)
class Measured:
    """What one case took."""

    name: str
    code: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    ok: bool
    says: str


def grid(axes: int, exclude: bool = False) -> str:
    """Return a study of 10 ** axes points."""
    rows = "".join(f"  {name}: {values}\n" for name, values in list(FIELDS.items())[:axes])
    return f"{BASE}axes:\n{rows}{EXCLUDE if exclude else ''}"


def seeds(count: int) -> str:
    """Return a study of `count` runs no two of which share a recipe: the worst case."""
    return f"{BASE}axes: {{train.seed: [{', '.join(map(str, range(count)))}]}}\n"


CASES = (
    Case("--help", None, 0, 0.4),
    Case("plan, 100,000 runs, 5 axes", grid(5), 0, 10.0),
    Case("plan, 100,000 runs, 1 axis", seeds(100_000), 0, 10.0),
    Case("refuse 10^6 with excludes", grid(6, exclude=True), 2, 2.0),
    Case("refuse 10^12 with excludes", grid(12, exclude=True), 2, 2.0),
)


def measure(case: Case, repeat: int, folder: Path) -> Measured:
    """Return the least times and the largest memory of `repeat` fresh processes."""
    command = [sys.executable, "-m", "dit_core.cli.app"]
    if case.study is None:
        command += ["--help"]
    else:
        (folder / "scale.yaml").write_text(case.study, encoding="utf-8")
        command += ["plan", str(folder / "scale.yaml"), "--results", str(folder / "results")]
    walls = []
    cpus = []
    peaks = []
    code = 0
    says = ""
    for _ in range(repeat):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        says = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - start)
        cpus.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss / 1024)
        code = process.returncode = os.waitstatus_to_exitcode(status)
    # The limits are about the work: on a machine that does other things too, processor time tells
    # it, wall time not.
    ok = code == case.code and min(cpus) <= case.limit_s and max(peaks) <= case.limit_mb
    return Measured(
        case.name, code, min(walls), min(cpus), max(peaks), ok, " ".join(says.split())[-160:]
    )


def main() -> None:
    """Measure every case, print a table or JSON, leave with 1 where a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(case, args.repeat, Path(folder)) for case in CASES]
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print(f"{'case':<28} {'wall s':>7} {'cpu s':>7} {'MB':>6}  exit  limit")
        for case, row in zip(CASES, rows, strict=True):
            verdict = "kept" if row.ok else f"MISSED: {row.says}"
            used = f"{row.wall_s:7.2f} {row.cpu_s:7.2f} {row.peak_mb:6.0f}"
            limits = f"{case.limit_s:g} s, {case.limit_mb:g} MB"
            print(f"{row.name:<28} {used}  {row.code:>4}  {limits} {verdict}")
    raise SystemExit(0 if all(row.ok for row in rows) else 1)


if __name__ == "__main__":
    main()
