"""How long runs will take, from a calibration of the machine (`ditlab bench --save`).

Pure arithmetic, no network.

A step costs so much for the loop, for every block (launching its operations), for every matrix
product, for every element that is passed over, and for every parameter (optimiser, EMA): five
coefficients, fitted to measured steps of models of different shape. A forward pass of a sampler is
the same without parameters.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dit_core.study.price import cost, unet_cost
from dit_core.study.price.steps import passes
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science
from dit_core.study.science.unet import UNet

SCHEMA = 1
STEP_TERMS = ("loop", "blocks", "flops", "elements", "params")
PASS_TERMS = ("loop", "blocks", "flops", "elements")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Seconds per unit of each term, on one device with as many workers as would run there."""

    device: str
    workers: int
    threads: int
    step: dict[str, float]
    sampling: dict[str, float]
    start_s: float
    run_s: float
    evaluation_s: float
    sample_s: float
    batch: int = 256

    @classmethod
    def of(cls, record: dict[str, Any]) -> Calibration:
        """Return the calibration of a record in results/bench/calibration.json."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


def step_terms(science: Science) -> dict[str, float]:
    """Return what one training step is made of, in units of STEP_TERMS."""
    batch = science.train.batch
    blocks, elements = _passed(science)
    return {
        "loop": 1.0,
        "blocks": float(blocks),
        "flops": float(cost.train_flops_of(cost.fwd_macs(science), batch)),
        "elements": float(batch * elements),
        "params": float(cost.params(science)),
    }


def pass_terms(science: Science, samples: int) -> dict[str, float]:
    """Return what one forward pass for `samples` samples is made of, in units of PASS_TERMS."""
    blocks, elements = _passed(science)
    return {
        "loop": 1.0,
        "blocks": float(blocks),
        "flops": float(cost.FLOPS_PER_MAC * cost.fwd_macs(science) * samples),
        "elements": float(samples * elements),
    }


def _passed(science: Science) -> tuple[int, int]:
    """Return (layers one after another, elements that one sample passes through them).

    A calibration is measured on Transformers: convolutions are slower, and what it predicts for a
    U-Net is too short.
    """
    if isinstance(science.model, UNet):
        layers = [*unet_cost.parts(science.model, science.data)]
        return len(layers), sum(layer.given * layer.elements for layer in layers)
    return science.dit.depth, science.tokens * science.dit.depth * science.dit.hidden


def step_s(calibration: Calibration, science: Science) -> float:
    """Return the seconds of one training step."""
    return _priced(step_terms(science), calibration.step)


def images_per_s(calibration: Calibration, science: Science) -> float:
    """Return the images that one worker trains on in a second."""
    return science.train.batch / step_s(calibration, science)


def train_s(calibration: Calibration, science: Science) -> float:
    """Return the seconds of a whole training, with its start, its snapshots and its records."""
    return science.train.steps * step_s(calibration, science) + calibration.run_s


def sampling_s(calibration: Calibration, science: Science, evaluation: Evaluation) -> float:
    """Return the seconds of making the samples of an evaluation."""
    calls = passes(science.objective, evaluation.sampling, science.data.channels)
    whole, rest = divmod(evaluation.samples, calibration.batch)
    seconds = whole * _priced(pass_terms(science, calibration.batch), calibration.sampling)
    if rest:
        seconds += _priced(pass_terms(science, rest), calibration.sampling)
    return calls * seconds


def evaluation_s(calibration: Calibration, science: Science, planned: PlannedEvaluation) -> float:
    """Return the seconds of an evaluation: samples, features, statistics, record."""
    evaluation = planned.evaluation
    fixed = calibration.evaluation_s + evaluation.samples * calibration.sample_s
    return sampling_s(calibration, science, evaluation) + fixed


def run_s(calibration: Calibration, run: Run) -> float:
    """Return the seconds of a run: its training and all its evaluations."""
    evaluations = sum(
        evaluation_s(calibration, run.science, planned) for planned in run.evaluations
    )
    return train_s(calibration, run.science) + evaluations


def wall_s(calibration: Calibration, runs: Iterable[Run]) -> float:
    """Return the seconds until all of `runs` are done here: longest first, `workers` at a time."""
    free = [calibration.start_s] * calibration.workers
    for seconds in sorted((run_s(calibration, run) for run in runs), reverse=True):
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


def _priced(terms: dict[str, float], prices: dict[str, float]) -> float:
    return sum(amount * prices.get(name, 0.0) for name, amount in terms.items())
