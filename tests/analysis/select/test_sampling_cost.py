"""What a sample costs: the plan and the table of results give one number, whatever the settings."""

from __future__ import annotations

import random

import pandas as pd
import pytest
import synthetic_store as synthetic

from analysis.select.sampling_cost import forward_passes
from analysis.select.source import published_source, study_source
from dit_core.records.paths import Store
from dit_core.records.plan import write_plan
from dit_core.study.price import cost
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data, Ddpm, Flow, Model, Science, Train

LATENTS = Data(name="latents", kind="latents", channels=4)
DDPM_50 = {"sampler": "ddpm", "steps": 50}
HEUN_50 = {"sampler": "heun", "steps": 50}
CASES = [
    (Ddpm(), Data(), DDPM_50, 50),
    (Ddpm(), Data(), {**DDPM_50, "guidance": 2.0}, 100),
    (Ddpm(), Data(), {**DDPM_50, "guidance": 2.0, "guidance_start": 0.2, "guidance_end": 0.8}, 80),
    (Ddpm(timesteps=100), Data(), {**DDPM_50, "guidance": 1.5, "guidance_end": 0.1}, 55),
    (Ddpm(), Data(), {"sampler": "dpm-solver++", "steps": 25}, 25),
    (Flow(), Data(), HEUN_50, 99),
    (Flow(), Data(), {**HEUN_50, "guidance": 2.0}, 198),
    (Flow(), Data(), {**HEUN_50, "guidance": 2.0, "guidance_end": 0.5}, 149),
    (Ddpm(), LATENTS, {**DDPM_50, "guidance": 0.0}, 50),
    (Ddpm(), LATENTS, {**DDPM_50, "guidance": 0.0, "guidance_channels": "first-3"}, 100),
    (Ddpm(), Data(), {**DDPM_50, "guidance": 0.0, "guidance_channels": "first-3"}, 50),
]


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "data", "settings", "passes"), CASES)
def test_the_table_costs_a_sample_as_the_plan_does(tmp_path, objective, data, settings, passes):
    model = Model(depth=2, hidden=32, heads=2, patch=4)
    train = Train(images=6400, batch=64, seed=0)
    science = Science(model=model, data=data, objective=objective, train=train)
    evaluation = Evaluation(images_seen=6400, samples=10, sampling=Sampling(**settings))
    store = Store(tmp_path)
    with synthetic.unsynced():
        run = synthetic.add_run(store, science, points=1, evals=0)
        synthetic.add_eval(store, science, evaluation, random.Random(0), run)
        _plan(store, run, science, evaluation)
    table = study_source("costs", tmp_path).results
    planned = cost.sampling_macs(science, evaluation) / evaluation.samples / 1e9
    assert table["sampling_gmacs"].tolist() == pytest.approx([planned])
    assert planned == pytest.approx(cost.fwd_macs(science) * passes / 1e9)


def _plan(store: Store, run: str, science: Science, evaluation: Evaluation) -> None:
    planned = PlannedEvaluation(ids.eval_id(run, evaluation), run, evaluation)
    runs = (Run(run, "one", science, Execution(), (planned,), (6400,)),)
    write_plan(store, "costs", "study: costs\n", runs)


def test_the_papers_sampling_costs_one_pass_per_step():
    rows = published_source().results
    drawn = rows[rows["table"] == "figure10"]
    assert len(drawn)
    pd.testing.assert_series_equal(
        drawn["sampling_gmacs"], drawn["fwd_gmacs"] * drawn["steps"], check_names=False
    )


ROW = {"objective": "ddpm", "sampler": "ddpm", "steps": 10.0, "guidance": 2.0}


@pytest.mark.parametrize(
    "change",
    [
        {"sampler": None},
        {"steps": None},
        {"objective": None},
        {"steps": 0},
        {"steps": 2000},
        {"sampler": "euler"},
        {"guidance": 0.0, "guidance_channels": "first-3"},
    ],
)
def test_what_a_row_does_not_say_is_missing(change):
    assert forward_passes(pd.DataFrame([ROW])).tolist() == [20]
    assert forward_passes(pd.DataFrame([{**ROW, **change}])).isna().all()
