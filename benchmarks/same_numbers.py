"""Did a change of the code move a number? Facts of two checkouts, compared.

    python benchmarks/same_numbers.py facts OUT.json [--results DIR]    in each checkout
    python benchmarks/same_numbers.py compare BEFORE.json AFTER.json

Facts: ids, sizes, multiply-accumulates, FLOPs and memory of every run of every shipped study; the
hashes of the published figures' tables and of the published tables as files; and, of a results
folder that each checkout made for itself (`ditlab run studies/digits.yaml`), every record: resolved
science, outcome with the hash of each snapshot's weights, and all metrics with their intervals. It
asks the command line and reads records only, so it runs on checkouts whose modules differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PLANNED = ("params", "fwd_gmacs", "train_flops", "sampling_flops", "memory_bytes", "evaluations")


def main() -> int:
    """Write the facts of this checkout, or compare two files of facts; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    facts = commands.add_parser("facts")
    facts.add_argument("out", type=Path)
    facts.add_argument("--results", type=Path)
    both = commands.add_parser("compare")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "facts":
        found = {"plans": plans(), "published": published()}
        if given.results:
            found["records"] = records(given.results)
        given.out.write_text(json.dumps(found, indent=1, sort_keys=True))
        return 0
    return compare(json.loads(given.before.read_text()), json.loads(given.after.read_text()))


def ditlab(*words: str) -> str:
    """Return what a command of this checkout prints."""
    command = [sys.executable, "-m", "dit_core.cli.app", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def plans() -> dict[str, Any]:
    """Return {study: {run id: name and prices}} of the shipped studies."""
    found = {}
    with tempfile.TemporaryDirectory() as empty:
        for path in sorted(Path("studies").glob("*.yaml")):
            plan = json.loads(ditlab("plan", str(path), "--results", empty, "--json"))
            rows = plan["runs"]
            found[path.stem] = {
                row["run_id"]: {"name": row["name"], **{key: row[key] for key in PLANNED}}
                for row in rows
            }
    return found


def published() -> dict[str, str]:
    """Return {file: hash} of the paper's tables, and the hash in the footer of each figure."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        ditlab("figures", "published", "--out", folder, "--formats", "svg")
        for path in sorted(Path(folder).iterdir()):
            if path.suffix == ".svg":
                footer = re.search(r"table ([0-9a-f]{8,})", path.read_text())
                found[path.name] = footer[1] if footer else "no hash in the footer"
            else:
                found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def records(results: Path) -> dict[str, Any]:
    """Return {run id: what was resolved, reached and measured} of a results folder."""
    found = {}
    for folder in sorted((results / "runs").glob("*/*")):
        outcome = json.loads((folder / "outcome.json").read_text())
        measured = {}
        for path in sorted((folder / "evals").glob("*.json")):
            record = json.loads(path.read_text())
            keys = ("evaluation", "protocol", "snapshot_sha256", "marks", "metrics")
            measured[path.stem] = {key: record[key] for key in keys}
        found[folder.name] = {
            "science": hashlib.sha256((folder / "run.yaml").read_bytes()).hexdigest(),
            "outcome": {key: outcome[key] for key in ("outcome", "images_seen")},
            "weights": weights(folder),
            "evaluations": measured,
        }
    return found


def weights(folder: Path) -> dict[str, str]:
    """Return {images seen: sha256 of the EMA weights} of a run's snapshots."""
    manifests = sorted((folder / "snapshots").glob("*/MANIFEST.json"))
    return {
        path.parent.name: json.loads(path.read_text())["files"]["ema.safetensors"]["sha256"]
        for path in manifests
    }


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print every fact that differs; return 1 if any does."""
    left = dict(flat(before))
    right = dict(flat(after))
    differing = sorted(k for k in left.keys() | right.keys() if left.get(k) != right.get(k))
    for key in differing[:50]:
        print(f"{key}: {left.get(key, 'absent')} -> {right.get(key, 'absent')}")
    print(f"{len(left.keys() | right.keys())} facts, {len(differing)} differ")
    return 1 if differing else 0


def flat(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of a tree of dicts and lists with their paths."""
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in flat(value, f"{path}/{key}")]
    if isinstance(tree, list):
        return [leaf for i, value in enumerate(tree) for leaf in flat(value, f"{path}/{i}")]
    return [(path, tree)]


if __name__ == "__main__":
    sys.exit(main())
