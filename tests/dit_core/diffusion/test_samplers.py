"""Samplers against diffusers' schedulers and against an exact solution; what they cost;
guidance.
"""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from dit_sciences import shaken, small

from dit_core.diffusion.gaussian import linear_betas, respaced_betas
from dit_core.diffusion.samplers import sample
from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.study.price.steps import levels, passes, timesteps_of
from dit_core.study.science.sampling import Sampling
from dit_core.study.science.science import Data, Ddpm, Flow

CFG = Ddpm()
FIFTY = Ddpm(timesteps=50)
Y = torch.tensor([1, 2, 3])
SHAPE = (3, 1, 4, 4)


class Counted:
    """A smooth function of all its inputs that counts its calls and samples."""

    null_class = 10

    def __init__(self, channels: int = 1, learn_sigma: bool = True) -> None:
        self.channels = channels
        self.learn_sigma = learn_sigma
        self.calls = 0
        self.samples = 0
        self.times = []

    def __call__(self, x, t, y):
        self.calls = self.calls + 1
        self.samples = self.samples + len(x)
        self.times.append(t[0].item())
        shift = (0.1 * y.float() + 0.001 * t)[:, None, None, None]
        eps = torch.tanh(x + 0.05 * shift) + 0.02 * shift
        return torch.cat([eps, torch.sin(3 * x + shift)], dim=1) if self.learn_sigma else eps


def noises(seed: int, shape=SHAPE):
    """Return noise(k), a function of (seed, k) alone, and the list of numbers that were asked
    for.
    """
    asked = []

    def noise(k: int) -> torch.Tensor:
        asked.append(k)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1000 * seed + k))

    return noise, asked


def respaced_peer(scheduler, steps: int, **options):
    """Return diffusers' scheduler over the respaced process: its timesteps are 0 to steps - 1."""
    visited = timesteps_of(FIFTY, Sampling(steps=steps))
    betas = respaced_betas(linear_betas(FIFTY), visited)
    peer = scheduler(num_train_timesteps=steps, trained_betas=betas, **options)
    peer.set_timesteps(steps)
    return peer, visited


@pytest.mark.parametrize("steps", [50, 20])
@pytest.mark.parametrize("learn_sigma", [True, False])
@pytest.mark.parametrize("clip", [True, False])
def test_ddpm_steps_equal_diffusers(steps, learn_sigma, clip, monkeypatch):
    from diffusers import DDPMScheduler

    variance = "learned_range" if learn_sigma else "fixed_small"
    peer, visited = respaced_peer(DDPMScheduler, steps, clip_sample=clip, variance_type=variance)
    cfg = FIFTY.model_copy(update={"learn_sigma": learn_sigma})
    network = Counted(learn_sigma=learn_sigma)
    (noise, _) = noises(0)
    got = sample(network, cfg, Sampling(steps=steps, clip=clip), Y, noise)
    drawn = iter(range(1, steps))
    module = importlib.import_module(DDPMScheduler.__module__)
    monkeypatch.setattr(module, "randn_tensor", lambda *a, **k: noise(next(drawn)))
    x = noise(0)
    for t in peer.timesteps:
        x = peer.step(network(x, torch.full((3,), visited[t]), Y), t, x).prev_sample
    torch.testing.assert_close(got, x, atol=2e-5, rtol=1e-4)
    assert next(drawn, None) is None


@pytest.mark.parametrize("steps", [50, 20])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("clip", [True, False])
def test_ddim_steps_equal_diffusers(steps, eta, clip):
    from diffusers import DDIMScheduler

    peer, visited = respaced_peer(DDIMScheduler, steps, clip_sample=clip, set_alpha_to_one=True)
    cfg = FIFTY.model_copy(update={"learn_sigma": False})
    network = Counted(learn_sigma=False)
    (noise, _) = noises(1)
    got = sample(network, cfg, Sampling(sampler="ddim", steps=steps, eta=eta, clip=clip), Y, noise)
    x = noise(0)
    for k, t in enumerate(peer.timesteps, start=1):
        fresh = noise(k) if eta and k < steps else None
        eps = network(x, torch.full((3,), visited[t]), Y)
        share = eta if fresh is not None else 0.0  # the last step's noise has variance zero
        x = peer.step(
            eps, t, x, eta=share, variance_noise=fresh, use_clipped_model_output=clip
        ).prev_sample
    torch.testing.assert_close(got, x, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 10, 20, 50])
def test_dpm_solver_equals_diffusers(steps):
    from diffusers import DPMSolverMultistepScheduler

    peer = DPMSolverMultistepScheduler(num_train_timesteps=1000, trained_betas=linear_betas(CFG))
    peer.set_timesteps(steps)
    network = Counted()
    (noise, asked) = noises(2)
    got = sample(network, CFG, Sampling(sampler="dpm-solver++", steps=steps), Y, noise)
    assert asked == [0]
    x = noise(0)
    for t in peer.timesteps:
        x = peer.step(network(x, t.expand(3), Y)[:, :1], t, x).prev_sample
    torch.testing.assert_close(got, x, atol=1e-6, rtol=1e-6)


def exact_eps(mean: float, deviation: float):
    """Return the ideal epsilon for data N(mean, deviation^2): every sampler must end in that
    distribution.
    """
    abar = torch.from_numpy(linear_betas(CFG)).neg().add(1).cumprod(0)

    def network(x, t, y):
        a = abar[t[0].long()].item()
        eps = (x - math.sqrt(a) * mean) * math.sqrt(1 - a) / (a * deviation**2 + 1 - a)
        return torch.cat([eps, torch.full_like(eps, -1.0)], dim=1)

    return network


@pytest.mark.parametrize(
    ("settings", "within"),
    [
        ({"sampler": "ddpm", "steps": 1000}, 0.02),
        ({"sampler": "ddpm", "steps": 250}, 0.03),
        ({"sampler": "ddim", "steps": 100}, 0.03),
        ({"sampler": "ddim", "steps": 500, "eta": 1.0}, 0.03),
        # Its last step jumps to the expected x_0, which loses spread: 3 % at 200 steps, 14 % at 20.
        ({"sampler": "dpm-solver++", "steps": 200}, 0.03),
    ],
    ids=str,
)
def test_samplers_end_in_the_data_distribution(settings, within):
    shape = (20_000, 1, 1, 1)
    noise, _ = noises(3, shape)
    x = sample(
        exact_eps(0.4, 0.3), CFG, Sampling(**settings), torch.zeros(20_000, dtype=torch.long), noise
    )
    assert x.mean().item() == pytest.approx(0.4, abs=0.01 + within / 3)
    assert x.std().item() == pytest.approx(0.3, rel=0.02 + within)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++", "euler", "heun"])
@pytest.mark.parametrize("guidance", [1.0, 1.5, 0.0])
def test_cost_in_forward_passes(sampler, guidance):
    objective = CFG if sampler in ("ddpm", "ddim", "dpm-solver++") else Flow()
    network = Counted(learn_sigma=objective is CFG)
    settings = Sampling(sampler=sampler, steps=7, guidance=guidance)
    noise, asked = noises(4)
    sample(network, objective, settings, Y, noise)
    assert network.calls == (13 if sampler == "heun" else 7)
    assert network.samples == len(Y) * network.calls * (2 if guidance == 1.5 else 1)
    assert network.samples == len(Y) * passes(objective, settings, 1)
    assert asked == (list(range(7)) if sampler == "ddpm" else [0])
    assert len(levels(objective, settings)) == network.calls


def test_guidance_one_is_no_guidance_and_calls_once_per_step():
    network = Counted()
    plain = Counted()
    got = sample(network, CFG, Sampling(steps=5, guidance=1.0), Y, noises(5)[0])
    want = sample(plain, CFG, Sampling(steps=5), Y, noises(5)[0])
    assert network.calls == network.samples / 3 == 5
    assert torch.equal(got, want)
    # A scale next to one takes the other path and must give almost the same.
    near = sample(Counted(), CFG, Sampling(steps=5, guidance=1.0 + 1e-6), Y, noises(5)[0])
    torch.testing.assert_close(near, want, atol=1e-4, rtol=1e-4)


def test_guidance_zero_is_the_null_class():
    null = torch.full_like(Y, Counted.null_class)
    got = sample(Counted(), CFG, Sampling(steps=5, guidance=0.0), Y, noises(6)[0])
    assert torch.equal(got, sample(Counted(), CFG, Sampling(steps=5), null, noises(6)[0]))


@pytest.mark.parametrize(("channels", "guided"), [("first-3", 3), ("all", 4)])
def test_guided_channels(channels, guided):
    from dit_core.diffusion.guidance import Guided

    network = Counted(channels=4)
    x = torch.randn(3, 4, 2, 2)
    with_label = network(x, torch.full((3,), 9.0), Y)
    without = network(x, torch.full((3,), 9.0), torch.full_like(Y, 10))
    out = Guided.of(network, Sampling(guidance=1.5, guidance_channels=channels), Y)(x, 9.0, 0.5)
    want = without[:, :guided] + 1.5 * (with_label - without)[:, :guided]
    torch.testing.assert_close(out[:, :guided], want)
    assert torch.equal(out[:, guided:], with_label[:, guided:])
    assert not torch.allclose(out[:, :3], with_label[:, :3])


def test_guidance_interval():
    settings = Sampling(steps=10, guidance=3.0, guidance_start=0.3, guidance_end=0.7)
    network = Counted()
    sample(network, CFG, settings, Y, noises(7)[0])
    inside = [t for t in timesteps_of(CFG, settings) if 0.3 <= t / 999 <= 0.7]
    assert 0 < len(inside) < 10
    assert network.calls == 10
    assert network.samples == 3 * (10 + len(inside)) == 3 * passes(CFG, settings, 1)


def test_network_sees_original_timesteps():
    network = Counted()
    sample(network, CFG, Sampling(steps=4), Y, noises(8)[0])
    assert network.times == [999.0, 666.0, 333.0, 0.0]


def test_clip_bounds_the_sample():
    def far(x, t, y):
        return torch.cat([torch.full_like(x, -5.0), torch.zeros_like(x)], dim=1)

    for sampler in ("ddpm", "ddim", "dpm-solver++"):
        free = sample(far, CFG, Sampling(sampler=sampler, steps=10), Y, noises(9)[0])
        clipped = sample(far, CFG, Sampling(sampler=sampler, steps=10, clip=True), Y, noises(9)[0])
        assert free.abs().max() > 1.5
        assert clipped.abs().max() <= 1.0 + 1e-4, sampler


def test_samples_do_not_depend_on_the_batch():
    network = shaken(build_model(small())).eval()
    noise = lambda k: torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(k))  # noqa: E731
    whole = sample(network, CFG, Sampling(steps=5, guidance=2.0), Y, noise)
    one = sample(network, CFG, Sampling(steps=5, guidance=2.0), Y[1:2], lambda k: noise(k)[1:2])
    torch.testing.assert_close(one, whole[1:2], atol=1e-4, rtol=1e-4)


def test_wrong_requests_are_named():
    network = build_model(small())
    noise = lambda k: torch.randn(2, 1, 8, 8)  # noqa: E731
    with pytest.raises(UserError, match="label 12 is out of range: classes are 0 to 9"):
        sample(network, CFG, Sampling(steps=2), torch.tensor([0, 12]), noise)
    with pytest.raises(UserError, match="does not go with objective 'flow'"):
        sample(network, Flow(), Sampling(steps=2), torch.tensor([0, 1]), noise)
    with pytest.raises(UserError, match="2000 sampling steps out of 1000"):
        sample(network, CFG, Sampling(steps=2000), torch.tensor([0, 1]), noise)
    data = Data(name="x", kind="npz", channels=3, height=8, width=8, classes=10, images=1)
    with pytest.raises(UserError, match="but was given"):
        sample(build_model(small(data=data)), CFG, Sampling(steps=2), torch.tensor([0, 1]), noise)
