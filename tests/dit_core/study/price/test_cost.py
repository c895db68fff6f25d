"""What a plan says a run costs: numbers by hand, memory against what autograd keeps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from dit_sciences import DESIGNS, LATENT, inputs, published, shaken, small, unet

from dit_core.diffusion.objective import make_objective
from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.study.price import cost
from dit_core.study.price.memory import activation_bytes, memory_bytes
from dit_core.study.price.steps import check_sampler, levels, passes, respaced
from dit_core.study.science.execution import Execution
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Ddpm, Flow


def test_train_flops_are_two_times_three_times_macs_times_images():
    science = published("XL", 2)
    # Figure 9 of the paper: Gflops x batch x steps x 3, in multiply-accumulates.
    assert cost.train_flops(science) / 2 == pytest.approx(118.64e9 * 256 * 400_000 * 3, rel=0.003)


@pytest.mark.parametrize(
    ("objective", "settings", "per_sample"),
    [
        (Ddpm(), {"steps": 250}, 250),
        (Ddpm(), {"steps": 250, "guidance": 1.5}, 500),
        (Ddpm(), {"steps": 250, "guidance": 0.0}, 250),
        (Ddpm(), {"steps": 10, "sampler": "ddim", "guidance": 1.5, "guidance_end": 0.5}, 15),
        (Ddpm(), {"steps": 10, "sampler": "dpm-solver++"}, 10),
        (Flow(), {"steps": 10, "sampler": "euler"}, 10),
        (Flow(), {"steps": 10, "sampler": "heun"}, 19),
        (Flow(), {"steps": 10, "sampler": "heun", "guidance": 2.0}, 38),
    ],
)
def test_sampling_macs(objective, settings, per_sample):
    science = small(objective=objective)
    sampling = Sampling(**settings)
    evaluation = Evaluation(images_seen=640, samples=7, sampling=sampling)
    assert passes(objective, sampling, 1) == per_sample
    assert cost.sampling_macs(science, evaluation) == cost.fwd_macs(science) * 7 * per_sample


def test_guidance_zero_on_three_of_four_channels_needs_both_halves():
    sampling = Sampling(steps=10, guidance=0.0, guidance_channels="first-3")
    assert (passes(Ddpm(), sampling, 4), passes(Ddpm(), sampling, 3)) == (20, 10)


@pytest.mark.parametrize("steps", [1, 2, 16, 32, 64, 128, 250, 256, 999, 1000])
def test_respacing(steps):
    visited = respaced(1000, steps)
    assert len(set(visited)) == steps
    assert list(visited) == sorted(visited)
    assert visited[-1] == 999
    if steps > 1:
        assert visited[0] == 0
        stride = 999 / (steps - 1)
        assert max(abs(t - i * stride) for i, t in enumerate(visited)) <= 0.5 + 1e-9
    assert len(levels(Ddpm(), Sampling(steps=steps))) == steps


def test_respacing_of_250_is_the_released_one():
    # 999 / 249 = 4.012: strides of 4 and, where the rounding says so, of 5.
    visited = respaced(1000, 250)
    assert visited[:4] == (0, 4, 8, 12)
    assert sum(b - a == 5 for a, b in pairwise(visited)) == 3


def test_impossible_samplers_are_named():
    with pytest.raises(
        UserError, match="1001 sampling steps out of 1000 timesteps: allowed are 1 to 1000"
    ):
        check_sampler(Ddpm(), Sampling(steps=1001))
    with pytest.raises(
        UserError,
        match="'euler' does not go with objective 'ddpm'; these do: ddpm, ddim, dpm-solver",
    ):
        check_sampler(Ddpm(), Sampling(sampler="euler"))
    with pytest.raises(
        UserError, match="'ddpm' does not go with objective 'flow'; these do: euler, heun"
    ):
        check_sampler(Flow(), Sampling(sampler="ddpm"))
    with pytest.raises(UserError, match="allowed are 1 to 999"):
        check_sampler(Ddpm(), Sampling(sampler="dpm-solver++", steps=1000))


def kept_bytes(science, batch: int, grad_checkpoint: bool) -> int:
    """Return the bytes that autograd keeps for the backward pass of one loss, weights left out."""
    network = shaken(build_model(science, grad_checkpoint=grad_checkpoint))
    weights = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    x, _, y = inputs(science, batch)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        make_objective(science.objective).loss(
            network, x, torch.rand(batch), torch.randn_like(x), y
        )
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("extra", [{}, {"qk_norm": True}, {"layer_scale": 0.1}], ids=str)
def test_activation_bytes_are_what_autograd_keeps(design, extra):
    wide = small(data=LATENT, depth=4, hidden=192, heads=6, patch=4, conditioning=design, **extra)
    for science, batch in ((small(conditioning=design, **extra), 64), (wide, 4)):
        assert activation_bytes(science, batch, False) == pytest.approx(
            kept_bytes(science, batch, False), rel=0.05
        )


@pytest.mark.parametrize(
    "shape", [{}, {"levels": 1}, {"levels": 3, "attention": "all"}, {"attention": "none"}], ids=str
)
def test_activation_bytes_of_a_unet_are_what_autograd_keeps(shape):
    science = unet(channels=16, **shape)
    assert activation_bytes(science, 64, False) == pytest.approx(
        kept_bytes(science, 64, False), rel=0.05
    )
    saving = activation_bytes(science, 64, True)
    assert kept_bytes(science, 64, True) < saving < activation_bytes(science, 64, False)


def test_gradient_checkpointing_needs_less():
    science = published("XL", 2)
    plain, saving = (activation_bytes(science, 8, on) for on in (False, True))
    assert saving < plain / 8


def test_memory_scales_with_micro_batch_and_processes():
    science = published("B", 4)
    whole, micro, shared = (
        memory_bytes(science, Execution(**e)) for e in ({}, {"micro_batch": 32}, {"processes": 8})
    )
    assert micro == shared < whole
    assert micro - activation_bytes(science, 32, False) == 20 * cost.params(science)
    half = science.model_copy(
        update={"train": science.train.model_copy(update={"precision": "bf16"})}
    )
    assert memory_bytes(half, Execution()) < whole
