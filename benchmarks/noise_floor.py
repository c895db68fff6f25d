"""The noise floor of `fd_digits`: real against real, and one model measured again with other seeds.

    .venv/bin/python benchmarks/noise_floor.py --results results --runs RUN [RUN …] --steps 32
    --seeds 8

Prints what docs/evaluation-results.md states. Repeats are kept as ordinary records of the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics

import numpy as np
import torch

from dit_core.cli.work.sample import find_run
from dit_core.data.sets.digits import digits
from dit_core.evaluate.features.extractors import make_extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.features.reference import digits_reference
from dit_core.evaluate.metrics.frechet import frechet
from dit_core.evaluate.one_evaluation import evaluate
from dit_core.records.paths import Store
from dit_core.records.run_record import read_science
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.science.execution import Execution
from dit_core.study.science.ids import eval_id
from dit_core.study.science.run import PlannedEvaluation
from dit_core.study.science.sampling import Evaluation, Sampling


def spread(values: list[float]) -> dict[str, float]:
    """Return mean, standard deviation, number and least of repeats."""
    return {
        "mean": round(statistics.mean(values), 3),
        "sd": round(statistics.stdev(values), 3),
        "n": len(values),
        "min": round(min(values), 3),
    }


def real_against_real(repeats: int) -> dict[str, dict[str, float]]:
    """Return the distance between halves of the digits, and of 1,797 resampled from all.

    Resampled with labels as they fall (label mode "drawn"), or balanced over the ten classes.
    """
    extractor = make_extractor(PROTOCOLS["digits"])
    features = digits_reference(extractor, "64").features
    labels = digits()[1].numpy()
    members = [np.flatnonzero(labels == label) for label in range(10)]
    assert features is not None
    whole = Moments.of(features)
    rng = np.random.default_rng(0)
    halves = []
    redrawn = []
    balanced = []
    for _ in range(repeats):
        order = torch.from_numpy(rng.permutation(len(features)))
        a = Moments.of(features[order[:898]])
        b = Moments.of(features[order[898:]])
        halves.append(frechet(a.mean(), a.covariance(), b.mean(), b.covariance()))
        redrawn.append(_distance(features, rng.integers(0, len(features), len(features)), whole))
        each = [rng.choice(own, count) for own, count in zip(members, _shares(1797), strict=True)]
        balanced.append(_distance(features, np.concatenate(each), whole))
    return {
        "halves of 898 and 899": spread(halves),
        "1,797 drawn with replacement": spread(redrawn),
        "1,797 drawn with replacement, classes balanced": spread(balanced),
    }


def _shares(count: int) -> list[int]:
    """Return how many samples of each digit the label mode "balanced" asks for."""
    return [len(range(label, count, 10)) for label in range(10)]


def _distance(features: torch.Tensor, rows: np.ndarray, whole: Moments) -> float:
    again = Moments.of(features[torch.from_numpy(rows)])
    return frechet(again.mean(), again.covariance(), whole.mean(), whole.covariance())


def repeats_of(store: Store, run: str, steps: int, seeds: int) -> dict[str, object]:
    """Return one run's spread over sampling seeds, and the mean width of its interval."""
    paths = find_run(store, run)
    science = read_science(paths)
    sampler = "euler" if science.objective.name == "flow" else "ddpm"
    values = []
    widths = []
    for seed in range(seeds):
        sampling = Sampling(sampler=sampler, steps=steps)
        evaluation = Evaluation(
            images_seen=science.train.images, samples=1797, sampling=sampling, seed=seed
        )
        planned = PlannedEvaluation(
            eval_id(paths.root.name, evaluation), paths.root.name, evaluation
        )
        metric = evaluate(paths, science, planned, Execution(device="cpu"))["metrics"]["fd_digits"]
        values.append(metric["value"])
        widths.append(metric["high"] - metric["low"])
    return {
        "run": run,
        "sampler": sampler,
        "steps": steps,
        **spread(values),
        "interval": statistics.mean(widths),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default=None)
    parser.add_argument("--runs", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(real_against_real(arguments.repeats), indent=1))
    for name in arguments.runs:
        print(
            json.dumps(
                repeats_of(Store.at(arguments.results), name, arguments.steps, arguments.seeds)
            ),
            flush=True,
        )
