"""A run whose weights are random but fixed, so that evaluations have something to sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dit_core.model.build import build_model
from dit_core.records.paths import RunPaths
from dit_core.records.run_record import open_run
from dit_core.study.science.ids import eval_id, run_id
from dit_core.study.science.run import PlannedEvaluation
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Science
from dit_core.training.checkpoint import save_snapshot

POINT = 960


@dataclass(frozen=True)
class Trained:
    """A run folder with one snapshot."""

    paths: RunPaths
    science: Science

    def plan(
        self, samples: int = 200, protocol: str = "digits", seed: int = 0, **sampling
    ) -> PlannedEvaluation:
        settings = Sampling(**{"steps": 2, **sampling})
        evaluation = Evaluation(
            images_seen=POINT, protocol=protocol, samples=samples, sampling=settings, seed=seed
        )
        run = self.paths.root.name
        return PlannedEvaluation(eval_id(run, evaluation), run, evaluation)


def trained_run(store, science: Science, scale: float = 0.05) -> Trained:
    """Return a run folder in `store` with random weights as its snapshot."""
    paths = store.run(run_id(science))
    open_run(paths, science)
    torch.manual_seed(0)
    model = build_model(science)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    save_snapshot(paths, POINT, {n: p.detach() for n, p in model.named_parameters()})
    return Trained(paths, science)
