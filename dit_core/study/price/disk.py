"""The disk space of a run, in closed form: kept weights, checkpoints and records."""

from __future__ import annotations

from dit_core.study.price.cost import params
from dit_core.study.science.run import Run
from dit_core.study.science.science import Science

KEPT_TENTHS = 10  # EMA weights are kept at each tenth of a training
FLOAT32 = 4  # bytes
CHECKPOINT_COPIES = 4  # weights, EMA and two moments of AdamW
# Measured on runs of the digits; the weights of anything larger drown them.
_HEADER_BYTES = 3000  # names and shapes of a file's tensors, and the manifest
_ROW_BYTES = 383  # a row of the training curve, as JSON and as an event of TensorBoard
_ROWS = 200  # where `log_every_images` leaves their number open
_EVALUATION_BYTES = 6700  # a record and its picture
_RUN_BYTES = 3500  # run.yaml, attempt.json, outcome.json


def kept_points(science: Science, asked: tuple[int, ...]) -> frozenset[int]:
    """Return the points whose EMA weights are kept: those asked for, and each tenth of the run.

    The tenths let a study gain an evaluation point later without training again.
    """
    steps = science.train.steps
    batch = science.train.batch
    tenths = {max(round(steps * k / KEPT_TENTHS), 1) * batch for k in range(1, KEPT_TENTHS + 1)}
    return frozenset(tenths | set(asked))


def kept_bytes(run: Run) -> int:
    """Return what a finished run leaves for good: EMA weights at its points, and records."""
    weights = FLOAT32 * params(run.science) + _HEADER_BYTES
    snapshots = len(kept_points(run.science, run.snapshots)) * weights
    every = run.execution.log_every_images
    rows = run.science.train.images // every if every else min(_ROWS, run.science.train.steps)
    return snapshots + rows * _ROW_BYTES + len(run.evaluations) * _EVALUATION_BYTES + _RUN_BYTES


def checkpoint_bytes(run: Run) -> int:
    """Return what the checkpoints of a run take at most, until `ditlab gc` removes them."""
    one = CHECKPOINT_COPIES * FLOAT32 * params(run.science) + 4 * _HEADER_BYTES
    return run.execution.keep_checkpoints * one
