"""The tables of runs and evaluations as one: a row per evaluation with its run beside it."""

from __future__ import annotations

import pandas as pd

from analysis.select.sampling_cost import sampling_gmacs
from dit_core.study.price.cost import train_flops_of

RUN_COLUMNS = (
    "run_id",
    "name",
    "study",
    "model_size",
    "patch",
    "conditioning",
    "objective",
    "seed",
    "params",
    "tokens",
    "fwd_gmacs",
    "train_flops",
    "outcome",
)


def join(runs: pd.DataFrame, evals: pd.DataFrame) -> pd.DataFrame:
    """Return one row per evaluation with its run's columns.

    `train_flops` is what was spent up to its training point. Runs without an evaluation stay, as
    one row without metrics: they count in "n of N".
    """
    ends = None
    if "images_seen" in runs and "images_seen" in evals:
        # An evaluation's row shows its own training point; the run's end, where there is none.
        ends = runs.set_index("run_id")["images_seen"]
        runs = runs.drop(columns="images_seen")
    extra = [c for c in evals.columns if c == "run_id" or c not in runs.columns]
    frame = runs.merge(evals[extra], on="run_id", how="left", validate="one_to_many")
    if ends is not None:
        frame["images_seen"] = frame["images_seen"].fillna(frame["run_id"].map(ends))
    if "images_seen" in frame and "fwd_gmacs" in frame:
        frame["train_flops"] = train_flops_of(1e9, 1) * frame["fwd_gmacs"] * frame["images_seen"]
    if "steps" in frame and "fwd_gmacs" in frame:
        frame["sampling_gmacs"] = sampling_gmacs(frame)
    return frame
