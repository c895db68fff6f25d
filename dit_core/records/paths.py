"""Every path under the results folder, in one place."""

from __future__ import annotations

import contextlib
import hashlib
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
    def data_record(self) -> Path:
        """Return what the run was first trained on."""
        return self.root / "data.json"

    @property
    def store(self) -> Store:
        """Return the results folder that holds the run."""
        return Store(self.root.parents[2])

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

    def attempt_record(self, number: int) -> Path:
        """Return the record of one attempt."""
        return self.attempt(number) / "attempt.json"

    def metrics(self, number: int) -> Path:
        """Return the training curve of one attempt."""
        return self.attempt(number) / "metrics.jsonl"

    def log(self, number: int) -> Path:
        """Return the trace of an attempt that failed."""
        return self.attempt(number) / "log.txt"

    @property
    def wish(self) -> Path:
        """Return what a person last asked for about the run: `ditlab cancel` or `ditlab retry`."""
        return self.root / "wish.json"

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
        """Return the store in `folder`, else in $DITLAB_RESULTS, else in ./results.

        The folder need not exist yet. Raises UserError where a file stands in its place or above.
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
        """Return the ids of all runs that have a folder, by one listing per first two digits."""
        found: set[str] = set()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for shard in os.scandir(self.runs):
                with contextlib.suppress(NotADirectoryError):
                    found.update(
                        name for name in os.listdir(shard.path) if name.startswith(shard.name)
                    )
        return found

    @property
    def studies(self) -> Path:
        """Return the folder of all studies."""
        return self.root / "studies"

    def study(self, name: str) -> Path:
        """Return the folder of one study."""
        return self.studies / name

    def study_yaml(self, name: str) -> Path:
        """Return the text of a study as it was last run or submitted."""
        return self.study(name) / "study.yaml"

    def plan(self, name: str) -> Path:
        """Return the runs that a study expanded to."""
        return self.study(name) / "plan.json"

    def plans(self) -> list[Path]:
        """Return the plans of all studies that have one, by name."""
        return sorted(self.studies.glob("*/plan.json"))

    def intents(self, name: str) -> Path:
        """Return the folder of a study's submissions, one folder for each sbatch call."""
        return self.study(name) / "intents"

    def submit_lock(self, name: str) -> Path:
        """Return the claim of the process that submits a study."""
        return self.study(name) / "submit.lock.json"

    def workers_log(self, name: str) -> Path:
        """Return what the worker processes of `ditlab run` print."""
        return self.study(name) / "workers.log"

    def report(self, name: str) -> Path:
        """Return the folder of a study's report."""
        return self.study(name) / "report"

    @property
    def code(self) -> Path:
        """Return the folder of the copies of the code that Slurm tasks run from."""
        return self.root / "code"

    @property
    def calibration(self) -> Path:
        """Return the measured speed of this machine's devices."""
        return self.root / "bench" / "calibration.json"

    @property
    def data(self) -> Path:
        """Return the folder of the hashes of data files."""
        return self.root / "data"

    def data_listing(self, sha256: str) -> Path:
        """Return the hashes of the files of one data set, named by the hash of them all."""
        return self.data / f"{sha256}.json"

    def data_files(self, place: Path) -> Path:
        """Return the sizes, times and hashes last seen of the files below `place`."""
        key = hashlib.sha256(str(place).encode()).hexdigest()[:16]
        return self.data / f"files-{key}.json"

    @property
    def index(self) -> Path:
        """Return the folder of the rebuildable tables."""
        return self.root / "index"
