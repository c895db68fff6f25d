"""The diffusion's terms against a derivation in float64 that shares no formula with the code.

The derivation works on the joint Gaussian of (x_{t-1}, x_t) given x_0 and on numerical integrals,
in the standard library's floats; the code works with the closed forms of the papers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from dit_core.diffusion import gaussian
from dit_core.diffusion.objective import make_objective
from dit_core.study.price.steps import respaced
from dit_core.study.science.science import Ddpm

CFG = Ddpm()
BOUND = 1e-6
BETAS = [1e-4 + (2e-2 - 1e-4) * t / 999 for t in range(1000)]


def column(name: str) -> np.ndarray:
    return gaussian.table(gaussian.linear_betas(CFG))[:, gaussian.COLUMNS.index(name)]


def signal(t: int) -> float:
    """Return abar_t as a product, one factor at a time; 1 before the first step."""
    return math.prod(1.0 - b for b in BETAS[: t + 1])


def posterior(t: int) -> tuple[float, float, float]:
    """Return (weight of x_0, weight of x_t, variance) of x_{t-1} given x_t and x_0, by conditioning
    a joint Gaussian.

    Given x_0, x_{t-1} has mean sqrt(a') x_0 and variance 1 - a', and x_t = sqrt(alpha) x_{t-1} +
    sqrt(beta) noise.
    """
    before = signal(t - 1)
    alpha = 1.0 - BETAS[t]
    beta = BETAS[t]
    cov_pp = 1.0 - before
    cov_pt = math.sqrt(alpha) * cov_pp
    cov_tt = alpha * cov_pp + beta
    gain = cov_pt / cov_tt
    return math.sqrt(before) * (1.0 - gain * math.sqrt(alpha)), gain, cov_pp - gain * cov_pt


@pytest.mark.parametrize("t", [1, 2, 10, 250, 500, 998, 999])
def test_posterior_mean_and_variance(t):
    of_x0, of_xt, variance = posterior(t)
    assert column("x0_in_mean")[t] == pytest.approx(of_x0, rel=BOUND)
    assert column("xt_in_mean")[t] == pytest.approx(of_xt, rel=BOUND)
    assert math.exp(column("log_posterior")[t]) == pytest.approx(variance, rel=BOUND)
    # The mean from epsilon is the mean from the x_0 that epsilon implies.
    x_t = 0.7
    eps = -0.3
    x0 = (x_t - math.sqrt(1 - signal(t)) * eps) / math.sqrt(signal(t))
    mean = column("inv_sqrt_alpha")[t] * x_t - column("eps_in_mean")[t] * eps
    assert mean == pytest.approx(of_x0 * x0 + of_xt * x_t, rel=BOUND)


def test_schedule_is_the_papers():
    assert gaussian.linear_betas(CFG).tolist() == pytest.approx(BETAS, rel=1e-12)
    assert column("sqrt_abar")[-1] ** 2 == pytest.approx(signal(999), rel=1e-9)
    assert signal(999) == pytest.approx(
        4.0e-5, rel=0.02
    )  # Ho et al. 2020: almost all noise at the end
    assert column("log_posterior")[0] == column("log_posterior")[1]


@pytest.mark.parametrize("steps", [1, 16, 32, 64, 128, 250, 256, 1000])
def test_respaced_process_has_the_same_marginals(steps):
    visited = respaced(1000, steps)
    betas = gaussian.respaced_betas(gaussian.linear_betas(CFG), visited)
    kept = 1.0
    for beta, t in zip(betas, visited, strict=True):
        assert 0 < beta < 1
        kept *= 1.0 - beta
        assert kept == pytest.approx(signal(t), rel=BOUND)


@pytest.mark.parametrize("v", [-1.0, -0.3, 0.5, 1.0])
def test_learned_variance(v):
    t = 300
    row = dict(zip(gaussian.COLUMNS, gaussian.table(gaussian.linear_betas(CFG))[t], strict=True))
    share = (v + 1) / 2
    want = BETAS[t] ** share * posterior(t)[2] ** (
        1 - share
    )  # equation 15 of Nichol & Dhariwal 2021
    got = gaussian.log_variance(torch.tensor(v, dtype=torch.float64), row).exp().item()
    assert got == pytest.approx(want, rel=BOUND)


def test_kl_is_the_integral():
    m1 = 0.3
    v1 = 0.7
    m2 = -0.2
    v2 = 1.9

    def density(x: float, m: float, v: float) -> float:
        return math.exp(-((x - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)

    want = quad(
        lambda x: density(x, m1, v1) * math.log(density(x, m1, v1) / density(x, m2, v2)), -8, 8
    )[0]
    got = gaussian.normal_kl(
        *(
            torch.tensor(a, dtype=torch.float64)
            for a in ((m1 - m2) ** 2, math.log(v1), math.log(v2))
        )
    )
    assert got.item() == pytest.approx(want, abs=BOUND)


def test_discrete_nll_is_a_distribution_over_256_levels():
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1.0
    for mean, log_variance in ((0.1, -6.0), (-0.99, -3.0), (1.02, -2.0)):
        nll = gaussian.discrete_nll(
            levels, levels - mean, torch.full((256,), log_variance, dtype=torch.float64)
        )
        assert torch.exp(-nll).sum().item() == pytest.approx(1.0, abs=1e-6)
        exact = torch.distributions.Normal(mean, math.exp(log_variance / 2))
        edges = levels + 1 / 255
        want = exact.cdf(edges[100:150]) - exact.cdf(edges[99:149])
        assert (torch.exp(-nll[100:150]) - want).abs().max() < 4e-4 * 2


class Fixed(torch.nn.Module):
    """A network that returns what it was given, in float64."""

    def __init__(self, out: torch.Tensor) -> None:
        super().__init__()
        self.out = out

    def forward(self, x, t, y):
        self.x = x
        self.t = t
        return self.out


def bound_in_bits(x0: float, noise: float, eps: float, v: float, t: int) -> float:
    """Return the variational term of one element in bits, from means and variances alone."""
    a = signal(t)
    x_t = math.sqrt(a) * x0 + math.sqrt(1 - a) * noise
    x0_hat = (x_t - math.sqrt(1 - a) * eps) / math.sqrt(a)
    lower = posterior(max(t, 1))[2]
    variance = BETAS[t] ** ((v + 1) / 2) * lower ** ((1 - v) / 2)
    if t == 0:

        def cdf(x: float) -> float:
            z = x / math.sqrt(variance)
            return 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z)))

        upper = cdf(x0 - x0_hat + 1 / 255) if x0 < 0.999 else 1.0
        below = cdf(x0 - x0_hat - 1 / 255) if x0 > -0.999 else 0.0
        return -math.log2(max(upper - below, 1e-12))
    of_x0, of_xt, true_variance = posterior(t)
    distance = (of_x0 * x0 + of_xt * x_t) - (of_x0 * x0_hat + of_xt * x_t)
    ratio = true_variance / variance
    return 0.5 * (ratio - 1 - math.log(ratio) + distance**2 / variance) / math.log(2)


@pytest.mark.parametrize("t", [0, 1, 5, 400, 999])
@pytest.mark.parametrize("close", [False, True])
def test_loss_terms(t, close):
    rng = np.random.default_rng(t)
    x0 = np.concatenate([rng.uniform(-1, 1, 14), [-1.0, 1.0]])
    noise = rng.standard_normal(16)
    v = rng.uniform(-1, 1, 16)
    eps = noise + rng.standard_normal(16) * (0.01 if close else 1.0)
    # Both sides start from the same float32 numbers.
    x0, noise, v, eps = (a.astype(np.float32).astype(np.float64) for a in (x0, noise, v, eps))
    shape = (1, 1, 4, 4)
    network = Fixed(torch.from_numpy(np.concatenate([eps, v])).view(1, 2, 4, 4).float())
    u = torch.tensor([(t + 0.5) / 1000])
    x, n = (torch.from_numpy(a).view(shape).float() for a in (x0, noise))
    terms = make_objective(CFG).loss(network, x, u, n, torch.zeros(1))
    assert network.t.item() == t
    want = math.sqrt(signal(t)) * x0 + math.sqrt(1 - signal(t)) * noise
    assert network.x.flatten().tolist() == pytest.approx(want.tolist(), abs=BOUND)
    mse = np.mean((eps - noise) ** 2)
    vb = np.mean([bound_in_bits(*values, t) for values in zip(x0, noise, eps, v, strict=True)])
    assert terms["mse"].item() == pytest.approx(mse, rel=BOUND)
    assert terms["vb"].item() == pytest.approx(vb, rel=BOUND, abs=BOUND)
    assert terms["loss"].item() == pytest.approx(mse + vb, rel=BOUND, abs=BOUND)


def test_variational_bound_in_float64_is_exact():
    """The same terms without float32 in the way: the formulas agree to 1e-6 at every kind of
    timestep.
    """
    from dit_core.diffusion.objective import _variational

    rng = np.random.default_rng(3)
    table = torch.from_numpy(gaussian.table(gaussian.linear_betas(CFG)))
    for t in (0, 1, 2, 100, 999):
        x0, noise, eps, v = (rng.uniform(-1, 1, 16) for _ in range(4))
        row = dict(
            zip(
                gaussian.COLUMNS,
                table[torch.tensor([t])][:, :, None, None, None].unbind(1),
                strict=True,
            )
        )
        x, n, e, w = (torch.from_numpy(a).view(1, 1, 4, 4) for a in (x0, noise, eps, v))
        got = _variational(
            x, e - n, (e - n).square(), gaussian.log_variance(w, row), torch.tensor([t]), row
        ).item()
        want = np.mean(
            [bound_in_bits(*values, t) for values in zip(x0, noise, eps, v, strict=True)]
        )
        assert got == pytest.approx(want, rel=BOUND)


def test_variational_term_trains_the_covariance_alone():
    out = torch.randn(4, 2, 4, 4, requires_grad=True)
    x0 = torch.rand(4, 1, 4, 4) * 2 - 1
    noise = torch.randn(4, 1, 4, 4)
    u = torch.tensor([0.0, 0.0005, 0.5, 0.999])
    terms = make_objective(CFG).loss(Fixed(out), x0, u, noise, torch.zeros(4))
    (gradient,) = torch.autograd.grad(terms["vb"].sum(), out, retain_graph=True)
    assert not gradient[:, 0].any()
    assert gradient[:, 1].abs().sum(dim=(1, 2)).gt(0).all()
    (gradient,) = torch.autograd.grad(terms["mse"].sum(), out)
    assert not gradient[:, 1].any()


def test_rows_at_zero_are_treated_alike_on_every_device(monkeypatch):
    """The short cut of the CPU (only rows at t = 0) gives what the branch-free form of a GPU
    gives.
    """
    x0 = torch.rand(6, 1, 4, 4) * 2 - 1
    noise = torch.randn(6, 1, 4, 4)
    network = Fixed(torch.randn(6, 2, 4, 4))
    u = torch.tensor([0.0, 0.5, 0.0009, 0.3, 0.999, 0.0])
    short = make_objective(CFG).loss(network, x0, u, noise, torch.zeros(6))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    full = make_objective(CFG).loss(network, x0, u, noise, torch.zeros(6))
    torch.testing.assert_close(short["vb"], full["vb"])


def test_times_cover_all_timesteps_evenly():
    network = Fixed(torch.zeros(1000, 2, 1, 1))
    u = (torch.arange(1000) + 0.5) / 1000
    zero = torch.zeros(1000, 1, 1, 1)
    make_objective(CFG).loss(network, zero, u, zero, torch.zeros(1000))
    assert network.t.tolist() == list(range(1000))
    make_objective(CFG).loss(
        Fixed(torch.zeros(1, 2, 1, 1)),
        zero[:1],
        torch.tensor([1 - 2**-24]),
        zero[:1],
        zero[:1, 0, 0, 0],
    )
