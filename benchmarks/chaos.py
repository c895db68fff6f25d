"""A study on a real Slurm under fire: every run must end once, with undisturbed numbers.

    python benchmarks/chaos.py --runs 24 --faults 60 [--seed 0] [--keep FOLDER]

Brings up its own Slurm with accounting (root and the Debian packages are needed), runs the study
on two nodes while faults strike at random, then here for reference, and compares the two. The exit
code is 0 only if nothing was lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from chaos_faults import FAULTS, lose_accounting
from chaos_field import Field
from slurm_cluster import Cluster, missing

from dit_core.executor.local import run_locally
from dit_core.records.attempt import read_attempts
from dit_core.records.evals import read_eval
from dit_core.records.metrics import read_curve
from dit_core.records.outcome import read_outcome
from dit_core.records.paths import Store

PROFILE = "lab: {partition: gpu, gpus_per_node: 4, cpus_per_process: 4, minutes: 60}\n"
MEASURED = ("images", "step", "loss", "mse", "vb", "grad_norm")


def strike(at: Field, faults: int, *, most_s: float, say: Callable[[str], None]) -> None:
    """Let `faults` faults strike; submit in between, like a user who keeps coming back.

    If the study ends before the storm does, one more seed is added to it: the number of faults
    must not depend on how fast the machine trains.
    """
    deadline = time.monotonic() + most_s
    # every kind once, in random order, before chance decides: a short storm then still strikes with
    # them all
    first = [f for f in FAULTS if f is not lose_accounting or at.cluster.accounting]
    at.dice.shuffle(first)
    while sum(at.struck.values()) < faults and time.monotonic() < deadline:
        if _complete(at):
            at.plant(at.seeds + 1)
            _tend(at)
        fault = (
            first[-1] if first else at.dice.choices(list(FAULTS), weights=list(FAULTS.values()))[0]
        )
        if fault(at):
            first = [f for f in first if f is not fault]
            at.struck[fault.__name__] += 1
            say(f"{sum(at.struck.values()):3d} {fault.__name__}")
        time.sleep(at.dice.uniform(0.2, 1.5))
        _tend(at)


def finish(at: Field, *, most_s: float, say: Callable[[str], None]) -> int:
    """Let the study finish; return how many runs were retried by hand.

    A run needs that after two attempts without progress.
    """
    retries = 0
    deadline = time.monotonic() + most_s
    while not _complete(at) and time.monotonic() < deadline:
        retries += _tend(at)
        done = sum(o is not None and o.outcome == "DONE" for o in map(at.outcome_of, at.runs()))
        say(f"    {done} runs trained")
        time.sleep(2)
    return retries


def compare(at: Field, calm: Store) -> dict[str, int]:
    """Hold every run and evaluation against the undisturbed ones; return what was counted."""
    counts = dict.fromkeys(
        (
            "runs",
            "evaluations",
            "runs_lost",
            "runs_doubled",
            "evals_lost",
            "rows_lost",
            "rows_wrong",
            "values_wrong",
        ),
        0,
    )
    for run in at.runs():
        mine = at.store.run(run.run_id)
        theirs = calm.run(run.run_id)
        counts["runs"] += 1
        outcome = read_outcome(mine)
        counts["runs_lost"] += outcome is None or outcome.outcome != "DONE"
        counts["runs_doubled"] += sum(a.get("end") == "done" for a in read_attempts(mine)) > 1
        rows = [[{k: r.get(k) for k in MEASURED} for r in read_curve(p)] for p in (mine, theirs)]
        counts["rows_lost"] += len(rows[1]) - len(rows[0])
        counts["rows_wrong"] += sum(a != b for a, b in zip(*rows, strict=False))
        for planned in run.evaluations:
            counts["evaluations"] += 1
            ours = read_eval(mine, planned.eval_id)
            right = read_eval(theirs, planned.eval_id)
            counts["evals_lost"] += ours is None
            counts["values_wrong"] += (
                ours is not None and right is not None and ours["metrics"] != right["metrics"]
            )
    return counts


def main() -> None:
    """Run the whole and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--no-accounting", action="store_true")
    parser.add_argument("--keep", type=Path, default=None, help="Keep everything in this folder.")
    args = parser.parse_args()
    if lacking := missing(accounting=not args.no_accounting):
        print(f"error: {lacking}", file=sys.stderr)
        raise SystemExit(3)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="ditlab-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munge refuses a socket below a folder that others may not enter
    cluster = Cluster(folder / "slurm", accounting=not args.no_accounting).up()
    try:
        counts = chaos(
            cluster, folder, args.runs, args.steps, args.faults, args.seed, args.minutes * 60, _say
        )
    finally:
        cluster.down()
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(counts, indent=1))
    bad = [k for k, v in counts.items() if k.endswith(("_lost", "_doubled", "_wrong")) and v]
    raise SystemExit(1 if bad else 0)


def chaos(
    cluster: Cluster,
    folder: Path,
    runs: int,
    steps: int,
    faults: int,
    seed: int,
    most_s: float,
    say: Callable[[str], None],
) -> dict[str, int]:
    """Return the counts: faults by kind, lost, doubled, wrong, seconds, attempts, retries."""
    folder.chmod(0o755)
    profile = folder / "clusters.yaml"
    profile.write_text(PROFILE)
    profile.chmod(0o600)
    at = Field(
        cluster,
        Store.at(folder / "results"),
        folder / "chaos.yaml",
        profile,
        steps,
        random.Random(seed),
    )
    at.plant(max(runs // 2, 1))
    began = time.monotonic()
    at.submit().communicate(timeout=180)
    strike(at, faults, most_s=most_s, say=say)
    retries = finish(at, most_s=most_s, say=say)
    took_s = time.monotonic() - began
    calm = Store.at(folder / "calm")
    run_locally(calm, "chaos", at.runs(), lambda event: None)
    say(f"undisturbed: {time.monotonic() - began - took_s:.0f} s")
    counts = compare(at, calm)
    attempts = sum(len(read_attempts(at.store.run(r.run_id))) for r in at.runs())
    return {
        **{f"fault {name}": n for name, n in sorted(at.struck.items())},
        "faults": sum(at.struck.values()),
        **counts,
        "attempts": attempts,
        "retries_by_hand": retries,
        "seconds": round(took_s),
    }


def _tend(at: Field) -> int:
    """Submit what came back; retry what gave up for lack of progress."""
    _resume_drained(at)
    child = at.submit()
    out, err = child.communicate(timeout=180)
    if child.returncode:
        at.log.append(err.strip())
        return 0
    if json.loads(out)["tasks"]:
        return 0
    words = at.command("retry", "--json")
    said = subprocess.run(
        words, env=at.env, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return len(json.loads(said.stdout)["runs"])


def _resume_drained(at: Field) -> None:
    """Return drained nodes to service, as an operator does; otherwise the rest waits for ever.

    Slurm drains a node on which a requeued job meets its own former step, which outlived its
    controller ("Duplicate jobid").
    """
    for line in at.cluster.run("sinfo", "-h", "-N", "-o", "%N %t").stdout.splitlines():
        node, state = line.split()
        if state.startswith(("drain", "drng")):
            at.cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")


def _say(line: str) -> None:
    print(line, flush=True)


def _complete(at: Field) -> bool:
    for run in at.runs():
        paths = at.store.run(run.run_id)
        outcome = at.outcome_of(run)
        if outcome is None or outcome.outcome == "FAILED":
            return False
        if any(not paths.eval(p.eval_id).exists() for p in run.evaluations):
            return False
    return True


if __name__ == "__main__":
    main()
