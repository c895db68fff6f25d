"""Every path under the results folder, in one place."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from dit_core.errors import UserError


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run; `root` is results/runs/<first two digits>/<run id>."""

    root: Path

    @property
    def run_yaml(self) -> Path:
        """Return the resolved science, written once."""
        return self.root / "run.yaml"

    @property
    def outcome(self) -> Path:
        """Return the outcome, written last."""
        return self.root / "outcome.json"

    @property
    def lease(self) -> Path:
        """Return the claim of the process that works on the run."""
        return self.root / "lease.json"

    @property
    def attempts(self) -> Path:
        """Return the folder of attempts."""
        return self.root / "attempts"

    def attempt(self, number: int) -> Path:
        """Return the folder of one attempt."""
        return self.attempts / f"{number:04d}"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of rolling checkpoints, one folder per training point."""
        return self.root / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """Return the folder of kept EMA weights, one folder per training point."""
        return self.root / "snapshots"

    def snapshot(self, images_seen: int) -> Path:
        """Return the folder of the EMA weights after `images_seen` images."""
        return self.snapshots / f"{images_seen:012d}"

    @property
    def evals(self) -> Path:
        """Return the folder of evaluation records."""
        return self.root / "evals"

    def eval(self, eval_id: str) -> Path:
        """Return the record of one evaluation."""
        return self.evals / f"{eval_id}.json"

    def eval_error(self, eval_id: str) -> Path:
        """Return the trace of an evaluation that failed."""
        return self.evals / f"{eval_id}.error.txt"

    @property
    def eval_leases(self) -> Path:
        """Return the folder of leases of single evaluations."""
        return self.root / "leases"

    def eval_lease(self, eval_id: str) -> Path:
        """Return the lease of one evaluation: it may be made while its run is still trained."""
        return self.eval_leases / f"{eval_id}.json"


@dataclass(frozen=True, slots=True)
class Store:
    """The results folder."""

    root: Path

    @classmethod
    def at(cls, folder: str | Path | None) -> Store:
        """Return the store in `folder`, else in $DITLAB_RESULTS, else in ./results; need not be
        there yet.

        Raises UserError where a file stands in its place or above it.
        """
        root = Path(folder or os.environ.get("DITLAB_RESULTS") or "results").absolute()
        for place in (root, *root.parents):
            if place.is_dir():
                break
            if place.exists():
                raise UserError(
                    f"results folder {root}: {place} is a file; give a folder (--results DIR)"
                )
        return cls(root)

    @property
    def runs(self) -> Path:
        """Return the folder of all runs."""
        return self.root / "runs"

    def run(self, run_id: str) -> RunPaths:
        """Return the paths of one run."""
        return RunPaths(self.runs / run_id[:2] / run_id)

    def run_ids(self) -> set[str]:
        """Return the ids of all runs that have a folder: one listing per first two digits, not one
        look per run.
        """
        found: set[str] = set()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for shard in os.scandir(self.runs):
                with contextlib.suppress(NotADirectoryError):
                    found.update(
                        name for name in os.listdir(shard.path) if name.startswith(shard.name)
                    )
        return found

    def study(self, name: str) -> Path:
        """Return the folder of one study: study.yaml, plan.json, intents, report."""
        return self.root / "studies" / name

    @property
    def index(self) -> Path:
        """Return the folder of the rebuildable tables."""
        return self.root / "index"
