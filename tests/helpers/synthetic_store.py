"""A results folder of any size, written through the record code itself: for tests and the scale
benchmark.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from dit_core.records.attempt import start_attempt
from dit_core.records.evals import write_eval
from dit_core.records.outcome import Outcome, write_outcome
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.records.run_record import open_run
from dit_core.study.catalogue.designs import DESIGNS
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import SIZES, Data, Ddpm, Model, Science, Train

CONDITIONINGS = tuple(DESIGNS)


@contextmanager
def unsynced() -> Iterator[None]:
    """Leave out fsync: what is measured or tested here is not the disk."""
    with mock.patch("os.fsync", new=_nothing):  # a Mock would keep a record of every call
        yield


def _nothing(file: int) -> None:
    pass


def sciences(count: int, first: int = 0) -> Iterator[Science]:
    """Yield `count` different sciences from number `first` on: sizes x patches x conditionings x
    seeds.
    """
    grid = list(itertools.product(("XXXS", "XXS", "XS", "S"), (1, 2, 4, 8), CONDITIONINGS))
    for number in range(first, first + count):
        seed, point = divmod(number, len(grid))
        size, patch, conditioning = grid[point]
        depth, hidden, heads = SIZES[size]
        yield Science(
            model=Model(
                depth=depth, hidden=hidden, heads=heads, patch=patch, conditioning=conditioning
            ),
            data=Data(),
            objective=Ddpm(),
            train=Train(images=6400, batch=64, seed=seed),
        )


def evaluations(count: int) -> list[Evaluation]:
    """Return `count` different evaluations."""
    grid = itertools.product((3200, 6400), (1.0, 1.5, 2.0), (10, 25, 50, 100, 250))
    return [
        Evaluation(images_seen=at, samples=1797, sampling=Sampling(steps=steps, guidance=guidance))
        for at, guidance, steps in itertools.islice(grid, count)
    ]


def fd(science: Science, evaluation: Evaluation, rng: random.Random) -> float:
    """Return a made-up distance that falls with compute and steps, with noise."""
    compute = science.tokens * science.model.depth * science.model.hidden**2
    return 4e3 * compute**-0.3 * (1 + 5 / evaluation.sampling.steps) * math.exp(rng.gauss(0, 0.05))


def add_run(
    store: Store, science: Science, points: int = 20, evals: int = 2, outcome: str | None = "DONE"
) -> str:
    """Write one whole run with its curve, evaluations and outcome; return its id."""
    run = ids.run_id(science)
    paths = store.run(run)
    rng = random.Random(run)
    open_run(paths, science)
    attempt = start_attempt(paths, device="cpu")
    for point in range(1, points + 1):
        images = science.train.images * point // points
        mse = 1 / (1 + point) + rng.random() / 10
        attempt.metrics.write(
            {
                "images": images,
                "step": images // 64,
                "loss": mse + 0.001,
                "mse": mse,
                "vb": 0.001,
                "grad_norm": rng.random(),
                "images_per_s": 1000.0 + point,
            }
        )
    for evaluation in evaluations(evals):
        add_eval(store, science, evaluation, rng, run)
    if outcome:
        write_outcome(paths, Outcome(outcome, None, science.train.images, 1))
    attempt.end((outcome or "stopped").lower(), images_seen=science.train.images)
    return run


def add_eval(
    store: Store,
    science: Science,
    evaluation: Evaluation,
    rng: random.Random,
    run: str | None = None,
) -> str:
    """Write one evaluation of a science, or of its run where the id is at hand; return its id."""
    run = run or ids.run_id(science)
    name = ids.eval_id(run, evaluation)
    value = fd(science, evaluation, rng)
    record = {
        "evaluation": ids.canonical(evaluation),
        "protocol": {"name": "digits", "version": 1, "reference": "0" * 64},
        "metrics": {
            "fd_digits": {"value": value, "low": value * 0.97, "high": value * 1.03},
            "accuracy": {"value": 0.9, "low": None, "high": None},
        },
        "seconds": 1.5,
        "device": "cpu",
    }
    write_eval(store.run(run), name, record)
    return name


def fill(
    store: Store, count: int, points: int = 20, evals: int = 2, study: str | None = "made"
) -> list[str]:
    """Write `count` runs and the plan of a study that holds them; return their ids."""
    with unsynced():
        found = [add_run(store, science, points, evals) for science in sciences(count)]
        if study:
            plan(store, study, count, evals)
    return found


def plan(store: Store, study: str, count: int, evals: int, first: int = 0) -> None:
    """Write the plan of a study over `count` sciences, from number `first` on."""
    asked = evaluations(evals)
    runs = []
    for science in sciences(count, first):
        run = ids.run_id(science)
        size = science.model.size
        number = science.train.seed
        model = f"size={size},patch={science.model.patch}"
        name = f"{model},conditioning={science.model.conditioning},seed={number}"
        planned = tuple(PlannedEvaluation(ids.eval_id(run, e), run, e) for e in asked)
        runs.append(Run(run, name, science, Execution(), planned, (3200, 6400)))
    write_plan(store, study, f"study: {study}\n", tuple(runs))
