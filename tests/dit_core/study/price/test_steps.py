"""The timesteps of DPM-Solver++ are those of diffusers' scheduler, for every number of steps."""

import pytest
from diffusers import DPMSolverMultistepScheduler

from dit_core.study.price.steps import timesteps_of
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Ddpm


@pytest.mark.parametrize("timesteps", [100, 1000])
def test_dpm_solver_visits_the_timesteps_of_diffusers(timesteps):
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=timesteps, algorithm_type="dpmsolver++"
    )
    different = []
    for steps in range(2, timesteps):
        scheduler.set_timesteps(steps)
        theirs = tuple(int(t) for t in scheduler.timesteps)
        ours = timesteps_of(
            Ddpm(timesteps=timesteps), Sampling(sampler="dpm-solver++", steps=steps)
        )
        if ours[::-1] != theirs:
            different.append(steps)
    assert different == []
