"""A SiT becomes a flow of ours: compared with the network written out from its paper and code."""

from __future__ import annotations

import argparse
import math

import pytest
import torch
import torch.nn.functional as F
from dit_sciences import LATENT, shaken, small
from torch import Tensor

from dit_core.errors import UserError
from dit_core.evaluate.samples.generate import network_of
from dit_core.model.build import build_model
from dit_core.model.weights.described import Described
from dit_core.model.weights.files import read_foreign, write_released
from dit_core.model.weights.folder import write_diffusers
from dit_core.model.weights.released import to_released
from dit_core.study.science.science import Ddpm, Flow

DATA = LATENT.model_copy(update={"height": 8, "width": 8, "classes": 5})
HEADS = 2
SIT = Described(heads=HEADS, classes=5, flow="sit")


def linear(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def sit_velocity(weights: dict[str, Tensor], x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """Return SiT's velocity at its own times t in [0, 1], 1 being data."""
    kernel = weights["x_embedder.proj.weight"]
    C, p = kernel.shape[1:3]
    h = F.conv2d(x, kernel, weights["x_embedder.proj.bias"], stride=p).flatten(2).mT
    h = h + weights["pos_embed"]
    f = torch.exp(-math.log(10000) * torch.arange(128) / 128)
    waves = torch.cat([(t[:, None] * f).cos(), (t[:, None] * f).sin()], 1)
    c = linear(weights, "t_embedder.mlp.2", F.silu(linear(weights, "t_embedder.mlp.0", waves)))
    c = F.silu(c + weights["y_embedder.embedding_table.weight"][y])
    for i in range(2):
        b = f"blocks.{i}"
        m = linear(weights, f"{b}.adaLN_modulation.1", c).chunk(6, 1)
        qkv = linear(weights, f"{b}.attn.qkv", norm(h, m[0], m[1]))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in qkv.chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h + m[2][:, None] * linear(weights, f"{b}.attn.proj", seen)
        wide = F.gelu(linear(weights, f"{b}.mlp.fc1", norm(h, m[3], m[4])), approximate="tanh")
        h = h + m[5][:, None] * linear(weights, f"{b}.mlp.fc2", wide)
    m = linear(weights, "final_layer.adaLN_modulation.1", c).chunk(2, 1)
    out = linear(weights, "final_layer.linear", norm(h, m[0], m[1]))
    n = x.shape[-1] // p
    out = out.unflatten(1, (n, n)).unflatten(3, (p, p, -1))  # (B, n, n, p, p, channels)
    return out.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)[:, :C]


def sit_weights(learn_sigma: bool) -> dict[str, Tensor]:
    science = small(data=DATA, objective=Ddpm(learn_sigma=learn_sigma))
    return to_released(shaken(build_model(science)).state_dict(), science)


@pytest.mark.parametrize("learn_sigma", [False, True])
@torch.no_grad()
def test_its_velocity_and_its_time_run_the_other_way(learn_sigma, tmp_path):
    weights = sit_weights(learn_sigma)
    torch.save({"ema": weights}, tmp_path / "sit.pt")
    found = read_foreign(tmp_path / "sit.pt", SIT)
    assert found.science.objective == Flow()
    ours = network_of(found.science, found.weights, torch.device("cpu"))
    s = torch.tensor([0.0, 0.3, 0.5, 0.999, 1.0])
    x = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 4, 5, 2])
    want = -sit_velocity(weights, x, 1 - s, y)
    difference = (ours(x, 1000 * s, y) - want).abs().max().item()
    print(f"largest difference {difference:.1e}, largest velocity {want.abs().max():.2f}")
    assert difference < 1e-5 * want.abs().max()
    assert (sit_velocity(weights, x, s, y) + want).abs().max() > 1e-3 * want.abs().max()


def test_a_sit_of_another_path_or_prediction_is_refused(tmp_path):
    usual = {"path_type": "Linear", "prediction": "velocity"}
    for change in ({"path_type": "GVP"}, {"prediction": "score"}):
        args = argparse.Namespace(**{**usual, **change})
        torch.save({"ema": sit_weights(False), "args": args}, tmp_path / "sit.pt")
        with pytest.raises(UserError, match=r"only SiT's '\w+' is a rectified flow"):
            read_foreign(tmp_path / "sit.pt", SIT)
    torch.save(
        {"ema": sit_weights(False), "args": argparse.Namespace(**usual)}, tmp_path / "sit.pt"
    )
    found = read_foreign(tmp_path / "sit.pt", SIT)
    for write in (write_released, write_diffusers):
        with pytest.raises(UserError, match="SiT's time frequencies"):
            write(tmp_path / "out", found.weights, found.science)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_network_is_refused_as_a_sit(tmp_path):
    weights = sit_weights(False)
    del weights["t_embedder.mlp.0.weight"]
    torch.save(weights, tmp_path / "sit.pt")
    with pytest.raises(UserError, match=r"is no DiT checkpoint: lacks t_embedder\.mlp\.0\.weight"):
        read_foreign(tmp_path / "sit.pt", SIT)
