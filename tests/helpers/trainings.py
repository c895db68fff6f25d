"""Small trainings for the tests of the loop, the checkpoints and the groups of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.records.metrics import read_curve
from dit_core.records.paths import RunPaths, Store
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import Run
from dit_core.study.science.science import Data, Ddpm, Flow, Model, Science, Train

TERMS = ("images", "step", "loss", "mse", "vb", "grad_norm")


def science_of(steps: int = 12, batch: int = 16, flow: bool = False, **recipe: Any) -> Science:
    """Return a training of a second: two blocks of width 32 on four tokens."""
    return Science(
        model=Model(depth=2, hidden=32, heads=2, patch=4),
        data=Data(),
        objective=Flow() if flow else Ddpm(),
        train=Train(images=steps * batch, batch=batch, **({"lr": 1e-3, "ema": 0.9} | recipe)),
    )


def run_of(science: Science, **execution: Any) -> Run:
    """Return the run of a science, on the CPU, one row per step, without compiling."""
    settings = {
        "device": "cpu",
        "compile": "off",
        "log_every_images": science.train.batch,
        "threads": 1,
    }
    return Run(ids.run_id(science), "test", science, Execution(**(settings | execution)))


def paths_of(folder: Path, run: Run) -> RunPaths:
    """Return the paths of a run in a store of its own."""
    return Store(folder).run(run.run_id)


def final_ema(paths: RunPaths, science: Science) -> Tensor:
    """Return the EMA at the end of a training as one vector."""
    from dit_core.training.checkpoint import load_ema

    return torch.cat([value.flatten() for value in load_ema(paths, science.train.images).values()])


def rows_of(paths: RunPaths) -> list[tuple[Any, ...]]:
    """Return the curve of a run, the columns that do not depend on the machine's speed."""
    return [tuple(row[term] for term in TERMS) for row in read_curve(paths)]


def relative(a: Tensor, b: Tensor) -> float:
    """Return the largest difference of two vectors in units of the first one's largest value."""
    return float((a - b).abs().max() / a.abs().max())
