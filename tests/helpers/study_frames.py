"""Frames as a small study makes them, for the tests of this folder."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.select.source import Source


def own_runs(seeds: int = 2) -> pd.DataFrame:
    """Return evaluations of 9 models and `seeds` seeds as the demo makes them, at two numbers of steps."""
    rng, rows = np.random.default_rng(3), []
    for size, base in {"XXXS": 0.0004, "XXS": 0.001, "XS": 0.003}.items():
        for patch, factor in {4: 1, 2: 4, 1: 16}.items():
            for seed in range(seeds):
                for steps, worse in ((10, 30), (50, 0)):
                    gmacs = base * factor
                    fd = 20 - 35 * np.log10(gmacs) + worse + rng.normal(0, 2)
                    rows.append(
                        {"run_id": f"{size}{patch}{seed}", "name": f"size={size},patch={patch}", "study": "digits",
                         "model_size": size, "patch": patch, "conditioning": "adaln-zero", "objective": "ddpm",
                         "seed": seed, "params": 1e5, "tokens": 16, "fwd_gmacs": gmacs, "outcome": "DONE",
                         "eval_id": f"{size}{patch}{seed}{steps}", "images_seen": 96000, "sampler": "ddpm",
                         "steps": steps, "guidance": 1.0, "samples": 1797, "protocol": "digits", "fd_digits": fd,
                         "fd_digits_low": fd - 3, "fd_digits_high": fd + 3}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def study_of(frame: pd.DataFrame, metrics: pd.DataFrame | None = None, name: str = "digits") -> Source:
    """Return the source of a study whose evaluations are `frame`."""
    columns = ["run_id", "name", "model_size", "patch", "conditioning", "objective", "seed", "params", "fwd_gmacs",
               "outcome"]  # fmt: skip
    if {"images_seen", "steps"} <= set(frame.columns):
        spent = 6e9 * frame["fwd_gmacs"] * frame["images_seen"]
        frame = frame.assign(train_flops=spent, sampling_gmacs=frame["fwd_gmacs"] * frame["steps"])
    runs = frame.drop_duplicates("run_id")[columns].reset_index(drop=True)
    empty = pd.DataFrame({"run_id": [], "images": [], "loss": []})
    return Source(name, f"Study {name}", frame, runs, empty if metrics is None else metrics, "fd_digits")
