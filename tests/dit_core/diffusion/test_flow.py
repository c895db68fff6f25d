"""Rectified flow: its path, its times, its loss and the exactness of its samplers on a straight
path.
"""

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from dit_core.diffusion.flow import TIME_SCALE, times
from dit_core.diffusion.objective import make_objective
from dit_core.diffusion.samplers import sample
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Flow


def test_loss_is_zero_for_the_true_velocity():
    x0 = torch.randn(4, 1, 2, 2)
    noise = torch.randn(4, 1, 2, 2)
    u = torch.tensor([0.0, 0.25, 0.5, 0.999])
    seen = {}

    def network(x, t, y):
        seen.update(x=x, t=t)
        return noise - x0

    terms = make_objective(Flow()).loss(network, x0, u, noise, torch.zeros(4))
    assert not terms["loss"].any()
    share = u[:, None, None, None]
    torch.testing.assert_close(seen["x"], (1 - share) * x0 + share * noise)
    torch.testing.assert_close(seen["t"], u * TIME_SCALE)
    wrong = make_objective(Flow()).loss(
        lambda x, t, y: noise - x0 + 2, x0, u, noise, torch.zeros(4)
    )
    torch.testing.assert_close(wrong["mse"], torch.full((4,), 4.0))


def test_time_distributions():
    u = (torch.arange(20_000) + 0.5) / 20_000
    assert kstest(times(u, "uniform").numpy(), "uniform").statistic < 1e-4
    logits = torch.logit(times(u, "logit-normal"))
    assert kstest(logits.numpy(), "norm").statistic < 1e-3
    assert times(torch.tensor([0.0]), "logit-normal").item() == 0.0


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_the_samplers(sampler, order):
    """dx/dt = x has the solution x(1) / e at t = 0; halving the step divides the error by 2 to the
    order.

    Heun's last step is Euler's, of local order 2: globally it stays of order 2.
    """

    def error(steps: int) -> float:
        out = sample(
            lambda x, t, y: x,
            Flow(),
            Sampling(sampler=sampler, steps=steps),
            torch.zeros(1, dtype=torch.long),
            lambda k: torch.ones(1, 1, 1, 1),
        )
        return abs(out.item() - 1 / torch.e)

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.25)


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_clip_bounds_the_sample(sampler):
    y = torch.zeros(1, dtype=torch.long)
    start = torch.full((1, 1, 1, 1), 0.5)
    network = lambda x, t, y: torch.full_like(x, -9.0)  # noqa: E731
    free = sample(network, Flow(), Sampling(sampler=sampler, steps=4), y, lambda k: start)
    clipped = sample(
        network, Flow(), Sampling(sampler=sampler, steps=4, clip=True), y, lambda k: start
    )
    assert free.item() == pytest.approx(9.5)
    assert clipped.item() == pytest.approx(1.0)
