"""Frames as a small study makes them, for the tests of this folder."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.select.sampling_cost import sampling_gmacs
from analysis.select.source import Source
from dit_core.study.science.claim_kinds import parse_claim


def own_runs(seeds: int = 2) -> pd.DataFrame:
    """Return evaluations of 9 models and `seeds` seeds as the demo makes them, at two numbers of
    steps.
    """
    rng = np.random.default_rng(3)
    rows = []
    for size, base in {"XXXS": 0.0004, "XXS": 0.001, "XS": 0.003}.items():
        for patch, factor in {4: 1, 2: 4, 1: 16}.items():
            for seed in range(seeds):
                for steps, worse in ((10, 30), (50, 0)):
                    gmacs = base * factor
                    fd = 20 - 35 * np.log10(gmacs) + worse + rng.normal(0, 2)
                    rows.append(
                        {
                            "run_id": f"{size}{patch}{seed}",
                            "name": f"size={size},patch={patch}",
                            "study": "digits",
                            "model_size": size,
                            "patch": patch,
                            "conditioning": "adaln-zero",
                            "objective": "ddpm",
                            "seed": seed,
                            "params": 1e5,
                            "tokens": 16,
                            "fwd_gmacs": gmacs,
                            "outcome": "DONE",
                            "eval_id": f"{size}{patch}{seed}{steps}",
                            "images_seen": 96000,
                            "sampler": "ddpm",
                            "steps": steps,
                            "guidance": 1.0,
                            "samples": 1797,
                            "protocol": "digits",
                            "fd_digits": fd,
                            "fd_digits_low": fd - 3,
                            "fd_digits_high": fd + 3,
                        }
                    )
    return pd.DataFrame(rows)


def study_of(
    frame: pd.DataFrame, metrics: pd.DataFrame | None = None, name: str = "digits"
) -> Source:
    """Return the source of a study whose evaluations are `frame`."""
    columns = [
        "run_id",
        "name",
        "model_size",
        "patch",
        "conditioning",
        "objective",
        "seed",
        "params",
        "fwd_gmacs",
        "outcome",
    ]
    if {"images_seen", "steps"} <= set(frame.columns):
        spent = 6e9 * frame["fwd_gmacs"] * frame["images_seen"]
        frame = frame.assign(train_flops=spent, sampling_gmacs=sampling_gmacs(frame))
    runs = frame.drop_duplicates("run_id")[columns].reset_index(drop=True)
    empty = pd.DataFrame({"run_id": [], "images": [], "loss": []})
    return Source(
        name, f"Study {name}", frame, runs, empty if metrics is None else metrics, "fd_digits"
    )


def stated():
    return (
        parse_claim(
            {
                "id": "follows",
                "text": "Quality <follows> compute",
                "kind": "correlation",
                "metric": "fd_digits",
                "at_most": -0.8,
            }
        ),
        parse_claim(
            {
                "id": "unknown",
                "text": "Names what is not there",
                "kind": "threshold",
                "metric": "fid",
                "at_most": 1.0,
            }
        ),
    )


def many(runs: int = 1000):
    """Return a study of `runs` runs with two evaluations and a curve each."""
    rng = np.random.default_rng(0)
    base = own_runs(1).iloc[0].to_dict()
    rows = []
    losses = []
    for i in range(runs):
        gmacs = float(10 ** rng.uniform(-4, -1))
        for steps in (10, 50):
            fd = 20 - 30 * np.log10(gmacs) + rng.normal(0, 5)
            rows.append(
                {
                    **base,
                    "run_id": f"{i:016x}",
                    "eval_id": f"{i}-{steps}",
                    "name": f"size=d{i % 40},seed={i}",
                    "model_size": f"d{i % 40}",
                    "patch": 1 + i % 3,
                    "seed": i,
                    "fwd_gmacs": gmacs,
                    "steps": steps,
                    "fd_digits": fd,
                    "fd_digits_low": fd - 3,
                    "fd_digits_high": fd + 3,
                }
            )
        images = np.arange(200) * 480
        losses.append(
            pd.DataFrame(
                {"run_id": f"{i:016x}", "images": images, "loss": 1 / np.sqrt(1 + images / 1000)}
            )
        )
    return study_of(pd.DataFrame(rows), metrics=pd.concat(losses, ignore_index=True))
