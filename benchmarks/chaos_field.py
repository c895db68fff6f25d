"""What the faults of a chaos run strike: a cluster, a results folder and a study."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from slurm_cluster import Cluster  # noqa: E402

from dit_core.records.outcome import Outcome, read_outcome  # noqa: E402
from dit_core.records.paths import Store  # noqa: E402
from dit_core.study.grid.expand import expand  # noqa: E402
from dit_core.study.language.spec import load_study  # noqa: E402
from dit_core.study.science.run import Run  # noqa: E402

STUDY = """\
study: chaos
question: Does every run survive?
base:
  data: {{name: digits}}
  model: {{size: XXXS, patch: 4}}
  train: {{duration: {steps} steps, batch: 16, lr: 1e-3, ema: 0.99}}
axes: {{model.patch: [4, 8], train.seed: {seeds}}}
evaluate:
  - {{protocol: digits, at: [50%, 100%], sampler: ddim, steps: 2, samples: 100}}
execution: {{threads: 1, device: cpu, save_every_images: 800}}
"""


@dataclass
class Field:
    """Where the faults strike: cluster, results, study, and what has been done so far."""

    cluster: Cluster
    store: Store
    study: Path
    profile: Path
    steps: int
    dice: random.Random
    seeds: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return self.cluster.env | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def command(self, *words: object) -> list[str]:
        """Return a ditlab command on this field."""
        base = [sys.executable, "-m", "dit_core.cli.app", words[0], str(self.study)]
        return [*base, *map(str, words[1:]), "--results", str(self.store.root)]

    def plant(self, seeds: int) -> None:
        """Write the study with so many seeds, two runs and four evaluations each."""
        self.seeds = seeds
        self.study.write_text(STUDY.format(steps=self.steps, seeds=list(range(seeds))))

    def submit(self) -> subprocess.Popen[str]:
        """Start a submitter."""
        words = self.command(
            "submit", "-c", "lab", "--profile-file", self.profile, "--go", "--json"
        )
        return subprocess.Popen(
            words,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def runs(self) -> tuple[Run, ...]:
        """Return the runs of the study."""
        return expand(load_study(self.study)).runs

    def outcome_of(self, run: Run) -> Outcome | None:
        """Return the outcome of a run, None while there is none."""
        return read_outcome(self.store.run(run.run_id))

    def running(self) -> list[str]:
        """Return the tasks that run."""
        return self.cluster.run("squeue", "-h", "-t", "R", "-o", "%A").stdout.split()
