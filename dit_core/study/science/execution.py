"""What does not change the numbers of a run: never part of its identity."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dit_core.study.science.science import Frozen, Positive


class Execution(Frozen):
    """How a run is carried out on a machine."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto takes CUDA where there is one."""
    workers: Positive | None = None
    """Runs at a time on this machine; null lets ditlab choose from the cores or GPUs."""
    threads: Positive | None = None
    """Threads per worker on a CPU; null shares the cores out evenly."""
    processes: Positive = 1
    """Processes one run is trained on (one per GPU)."""
    micro_batch: Positive | None = None
    """Images per forward pass and process; null is the whole share of the batch.

    Gradients accumulate.
    """
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; auto uses it where the run is long enough to repay the compile time."""
    grad_checkpoint: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    save_every_s: Annotated[float, Field(gt=0)] = 300.0
    """Seconds between rolling checkpoints."""
    save_every_images: Positive | None = None
    """Images between rolling checkpoints, in addition to `save_every_s`."""
    keep_checkpoints: Annotated[int, Field(ge=2)] = 2
    """Rolling checkpoints kept; EMA snapshots at evaluation points are kept besides."""
    log_every_images: Positive | None = None
    """Images between rows of the training curve; null gives about 200 rows a run."""
    sample_batch: Positive = 256
    """Samples per forward pass in an evaluation."""
    data_roots: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Where data sets lie: name to folder or file; relative to the current folder, ~ is the home
    folder.
    """

    @field_validator("data_roots")
    @classmethod
    def _at_home(cls, roots: dict[str, str]) -> dict[str, str]:
        return {name: os.path.expanduser(root) for name, root in roots.items()}
