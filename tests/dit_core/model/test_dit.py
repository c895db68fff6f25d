"""The network: its start, its parts against the paper's text, its fast paths, its refusals."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from dit_sciences import DESIGNS, inputs, published, shaken, small
from pydantic import ValidationError
from torch import nn

from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.model.conditioning import BLOCKS
from dit_core.model.embeddings import sincos_1d, sincos_2d
from dit_core.model.modulation import modulation_groups, norm
from dit_core.model.tokens import patchify, unpatchify
from dit_core.model.weights.released import from_released, to_released
from dit_core.study.catalogue import designs
from dit_core.study.science.science import Data, Ddpm, Flow, Model, dims_of

OPTIONS = {"qk_norm": True, "layer_scale": 0.1, "positions": "learned"}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("extra", [{}, OPTIONS], ids=["plain", "options"])
def test_shapes_and_gradients(design, extra):
    for objective, channels in ((Ddpm(), 6), (Ddpm(learn_sigma=False), 3), (Flow(), 3)):
        data = Data(name="x", kind="npz", channels=3, height=8, width=12, classes=5, images=1)
        science = small(data=data, objective=objective, patch=4, conditioning=design, **extra)
        network = shaken(build_model(science))
        out = network(*inputs(science))
        assert out.shape == (3, channels, 8, 12)
        out.square().mean().backward()
        silent = [
            n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()
        ]
        # A shift of all keys changes no softmax, so their bias (a part of qkv) alone may be silent.
        assert not silent


def test_every_adaln_zero_block_is_the_identity_at_the_start():
    science = published("S", 8)
    network = build_model(science)
    x = torch.randn(2, 16, 384)
    mods = network.modulation(torch.randn(2, 384))
    for i, block in enumerate(network.blocks):
        assert torch.equal(block(x, mods[6 * i : 6 * i + 6]), x), f"block {i}"
    assert not network(*inputs(science)).any()  # the final layer is zero too


def test_every_design_of_the_catalogue_has_its_block():
    assert BLOCKS.keys() == designs.DESIGNS.keys()


def test_the_other_designs_are_not_the_identity_at_the_start():
    for row in (row for row in designs.DESIGNS.values() if not row.gated):
        network = build_model(small(conditioning=row.name))
        x = torch.randn(2, 16, 48)
        c = [torch.full((2, 1, 48), float(kind == "scale")) for kind in row.modulations]
        entered = torch.randn(2, 2, 48) if row.attends else c or None
        assert not torch.allclose(network.blocks[0](x, entered), x)


def test_initialisation_is_the_published_one():
    torch.manual_seed(0)
    network = build_model(published("S", 2))
    for layer in (network.blocks[3].attn.qkv, network.blocks[3].mlp.fc1, network.x_embedder):
        bound = math.sqrt(6.0 / sum(layer.weight.shape))  # Glorot & Bengio 2010
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()
    for weight in (
        network.y_embedder.weight,
        network.t_embedder.fc1.weight,
        network.t_embedder.fc2.weight,
    ):
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(linear.weight.any() for linear in network.modulation.linears)
    assert not network.final.weight.any()
    # adaLN has no gate to be zero: its modulations start like any linear layer of one block (4d x
    # d).
    adaln = build_model(published("S", 2, conditioning="adaln"))
    bound = math.sqrt(6 / (5 * 384))
    for linear in adaln.modulation.linears:
        assert linear.weight[: 4 * 384].abs().max() <= bound
        assert linear.weight[: 4 * 384].std().item() == pytest.approx(
            bound / math.sqrt(3), rel=0.02
        )
    assert (
        adaln.modulation.linears[-1].weight[-2 * 384 :].abs().max() > bound
    )  # the final layer's own is 2d x d


def test_grouping_the_modulations_changes_nothing(monkeypatch):
    science = small(depth=5)
    outs = []
    for largest in (2**21, 2 * 6 * 48 * 48, 1):
        monkeypatch.setattr("dit_core.model.modulation.LARGEST_PRODUCT", largest)
        network = build_model(science)
        released = {
            n: torch.sin(torch.arange(t.numel()) + len(n)).view(t.shape) * 0.1
            for n, t in to_released(network.state_dict(), science).items()
            if n != "pos_embed"
        }
        released["pos_embed"] = network.positions[None]
        network.load_state_dict(from_released(released, science, "here"))
        outs.append((len(network.modulation.linears), network(*inputs(science))))
    assert [count for count, _ in outs] == [1, 3, 5]
    for _, out in outs[1:]:
        torch.testing.assert_close(out, outs[0][1], atol=1e-5, rtol=1e-5)
    assert modulation_groups(1152, 28, 6) == [6] * 27 + [8]


def test_seed_makes_the_weights():
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(build_model(small()).blocks[0].attn.qkv.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_positions_are_the_released_table():
    table = sincos_2d(2, 3, 8)
    row = 1
    column = 2
    wanted = [
        f(v * 10000 ** (-i / 2))
        for v in (column, row)
        for f in (math.sin, math.cos)
        for i in range(2)
    ]
    assert table[row * 3 + column].tolist() == pytest.approx(wanted, abs=1e-12)
    one = sincos_1d(torch.arange(5), 6)
    assert one[4].tolist() == pytest.approx(
        [f(4 * 10000 ** (-i / 3)) for f in (math.sin, math.cos) for i in range(3)], abs=1e-12
    )


def test_options_change_the_network():
    science = small()
    x, t, y = inputs(science)
    torch.manual_seed(0)
    base = shaken(build_model(science))
    want = base(x, t, y)
    for key, value in {
        "positions": "sincos-1d",
        "time_frequencies": "diffusers",
        "mlp_ratio": 2.0,
    }.items():
        other = shaken(build_model(small(**{key: value})))
        assert not torch.allclose(other(x, t, y), want, atol=1e-4), key
    none = shaken(build_model(small(positions="none")))
    assert not torch.allclose(none(x, t, y), want, atol=1e-4)
    # Without positions the network cannot tell the order of patches: swapping two swaps the output.
    swapped = x.clone()
    swapped[..., :2, :2] = x[..., :2, 2:4]
    swapped[..., :2, 2:4] = x[..., :2, :2]
    out = none(x, t, y)
    out_swapped = none(swapped, t, y)
    torch.testing.assert_close(out[..., :2, :2], out_swapped[..., :2, 2:4])
    for key, value in OPTIONS.items():
        added = set(build_model(small(**{key: value})).state_dict()) - set(base.state_dict())
        assert added, key


def test_qk_norm_bounds_the_attention_logits():
    network = build_model(small(qk_norm=True))
    attention = network.blocks[0].attn
    attention.qkv.weight.data *= 1000
    q = attention.qkv(torch.randn(1, 4, 48)).view(1, 4, 3, 2, 24)[:, :, 0]
    assert attention.q_norm(q).norm(dim=-1).max() <= math.sqrt(24) * 1.001 < q.norm(dim=-1).min()


def test_layer_scale_multiplies_each_branch():
    network = shaken(build_model(small(conditioning="cross-attention", layer_scale=0.5)))
    block = network.blocks[0]
    nn.init.constant_(block.layer_scale, 0.0)
    x = torch.randn(2, 16, 48)
    c = torch.randn(2, 2, 48)
    assert torch.equal(block(x, c), x)
    block.layer_scale.data[1] = 1.0
    torch.testing.assert_close(block(x, c), x + block.cross(block.norm2(x), c))


def test_patches_are_a_strided_convolution_and_come_back():
    data = Data(name="x", kind="npz", channels=3, height=8, width=12, classes=5, images=1)
    for patch in (1, 2, 4):
        network = build_model(small(data=data, patch=patch, objective=Flow()))
        x = torch.randn(2, 3, 8, 12)
        kernel = network.x_embedder.weight.view(48, 3, patch, patch)
        want = F.conv2d(x, kernel, network.x_embedder.bias, stride=patch).flatten(2).transpose(1, 2)
        torch.testing.assert_close(
            network.x_embedder(patchify(x, (patch, patch))), want, atol=1e-5, rtol=1e-5
        )
        # Patches hold (C, p, p), the output (p, p, C): the released order of both.
        patches = (
            patchify(x, (patch, patch))
            .unflatten(-1, (3, patch, patch))
            .permute(0, 1, 3, 4, 2)
            .flatten(2)
        )
        assert torch.equal(unpatchify(patches, (patch, patch), tuple(x.shape[1:])), x)


def test_blocks_follow_the_paper_literally():
    """The fused block against section 3.2 written out: one operation per line, attention with its
    softmax.
    """
    network = shaken(build_model(small()), std=0.2)
    block = network.blocks[1]
    x = torch.randn(2, 16, 48)
    c = torch.randn(2, 48)
    (linear,) = network.modulation.linears
    mods = F.linear(F.silu(c), linear.weight, linear.bias).view(2, -1, 48)
    shift1, scale1, gate1, shift2, scale2, gate2 = (mods[:, 6 + i, None] for i in range(6))
    a = norm(x) * (1 + scale1) + shift1
    q, k, v = block.attn.qkv(a).view(2, 16, 3, 2, 24).permute(2, 0, 3, 1, 4)
    a = (
        ((q @ k.transpose(-1, -2) / math.sqrt(24)).softmax(-1) @ v)
        .transpose(1, 2)
        .reshape(2, 16, 48)
    )
    want = x + gate1 * block.attn.proj(a)
    a = norm(want) * (1 + scale2) + shift2
    want = want + gate2 * block.mlp(a)
    torch.testing.assert_close(block(x, network.modulation(c)[6:12]), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_gradient_checkpointing_changes_nothing(design):
    science = small(conditioning=design)
    plain = shaken(build_model(science))
    saving = shaken(build_model(science, grad_checkpoint=True))
    grads = []
    for network in (plain, saving):
        network(*inputs(science)).square().mean().backward()
        grads.append([p.grad for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("design", DESIGNS)
def test_autocast_keeps_the_modulation_in_float32(design):
    science = small(conditioning=design)
    network = shaken(build_model(science))
    seen = {}
    network.t_embedder.fc2.register_forward_hook(lambda m, i, o: seen.update(time=o.dtype))
    network.blocks[0].attn.qkv.register_forward_hook(lambda m, i, o: seen.update(qkv=o.dtype))
    network.blocks[0].register_forward_hook(lambda m, i, o: seen.update(stream=o.dtype))
    if network.modulation is not None:
        network.modulation.register_forward_hook(lambda m, i, o: seen.update(modulation=o[0].dtype))
    exact = network(*inputs(science))
    with torch.autocast("cpu", torch.bfloat16):
        out = network(*inputs(science))
    assert seen.pop("qkv") == torch.bfloat16
    assert set(seen.values()) == {torch.float32}
    assert (out.float() - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize("design", DESIGNS)
def test_compiles_without_graph_breaks(design):
    science = small(conditioning=design, depth=1)
    for saving in (False, True):
        network = shaken(build_model(science, grad_checkpoint=saving))
        # fullgraph raises at the first graph break; the backend that generates no code makes that
        # quick to see.
        compiled = torch.compile(network, fullgraph=True, dynamic=False, backend="aot_eager")
        with torch.autocast("cpu", torch.bfloat16):
            out = compiled(*inputs(science))
            out.float().square().mean().backward()
            want = network(*inputs(science))
        torch.testing.assert_close(out.float(), want.float(), atol=0.02, rtol=0.02)


def test_meta_device_and_empty_weights():
    science = small()
    with torch.device("meta"):
        network = build_model(science)
    assert all(p.is_meta for p in network.parameters())
    full = shaken(build_model(science))
    network.to_empty(device="cpu")
    network.load_state_dict(full.state_dict())
    network.reset_buffers()
    assert torch.equal(network(*inputs(science)), full(*inputs(science)))


def test_wrong_inputs_are_named():
    science = small()
    network = build_model(science)
    x, t, y = inputs(science)
    with pytest.raises(UserError, match=r"\(batch, 1, 8, 8\), but was given \(3, 2, 8, 8\)"):
        network(x.expand(3, 2, 8, 8), t, y)
    with pytest.raises(UserError, match=r"times and labels must be of shape \(3,\).*labels \(2\)"):
        network(x, t, y[:2])
    for label in (11, -1):
        with pytest.raises(
            UserError,
            match=rf"label {label} is out of range: classes are 0 to 9, and 10 is the null",
        ):
            network.check_labels(torch.tensor([0, label]))
    network.check_labels(y)


def test_wrong_networks_are_refused_where_they_are_described():
    with pytest.raises(
        ValidationError, match="patch 3 does not divide the input 8x8; these do: \\[1, 2, 4, 8\\]"
    ):
        small(patch=3)
    with pytest.raises(ValidationError, match="heads 5 do not divide hidden 48"):
        small(heads=5)
    with pytest.raises(ValidationError, match="adaln-zero"):
        small(conditioning="adaln-zeroo")
    with pytest.raises(ValueError, match="unknown size 'XLL', did you mean 'XL'"):
        dims_of("XLL")
    # The same network, described past the schema, is refused by the builder with the same words.
    science = small()
    for update, words in (
        ({"patch": 3}, "patch 3 does not divide the input 8x8"),
        ({"heads": 5}, "heads 5 do not divide hidden 48"),
        (
            {"conditioning": "adaln-zerro"},
            "unknown conditioning 'adaln-zerro', did you mean 'adaln-zero'",
        ),
    ):
        model = Model.model_construct(**{**science.model.model_dump(), **update})
        with pytest.raises(UserError, match=words):
            build_model(science.model_copy(update={"model": model}))
