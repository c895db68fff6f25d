"""studies/digits-objectives.yaml asks what it says it asks, and is small enough for a few
minutes.
"""

from __future__ import annotations

from pathlib import Path

from dit_core.executor.local import work
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.price import cost

STUDY = Path(__file__).parents[3] / "studies" / "digits-objectives.yaml"


def test_both_objectives_are_asked_with_all_their_samplers():
    runs = expand(load_study(STUDY)).runs
    assert [run.science.objective.name for run in runs] == ["ddpm", "flow"]
    asked = {
        run.science.objective.name: {
            (e.evaluation.sampling.sampler, e.evaluation.sampling.guidance) for e in run.evaluations
        }
        for run in runs
    }
    assert asked["ddpm"] == {(s, g) for s in ("ddpm", "ddim", "dpm-solver++") for g in (1.0, 2.0)}
    assert asked["flow"] == {(s, g) for s in ("euler", "heun") for g in (1.0, 2.0)}
    assert {e.evaluation.sampling.steps for run in runs for e in run.evaluations} == {4, 8, 16, 32}


def test_its_price_fits_two_cores_evenly():
    first, second = (work(run) for run in expand(load_study(STUDY)).runs)
    assert first + second < 11e12
    assert 0.8 < first / second < 1.25


def test_an_evaluation_of_the_paper_costs_four_percent_of_its_training(tiny):
    from dit_core.study.science.sampling import Evaluation, Sampling
    from dit_core.study.science.science import Train

    science = tiny.model_copy(update={"train": Train(images=400_000 * 256)})
    evaluation = Evaluation(
        images_seen=1, protocol="dit-scaling", samples=50_000, sampling=Sampling(steps=250)
    )
    share = 2 * cost.sampling_macs(science, evaluation) / cost.train_flops(science)
    assert 0.040 < share < 0.041
