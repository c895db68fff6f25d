"""Conditions besides the label: shapes, nulls, counts, identity at the start, and that a plain
model is untouched.
"""

from __future__ import annotations

import pytest
import torch

from dit_core.errors import UserError
from dit_core.model.build import build_model
from dit_core.model.conditions import Conditions, dropped, joined, null_like, take
from dit_core.model.flops import measure
from dit_core.study.catalogue.designs import DESIGNS
from dit_core.study.price import cost
from dit_core.study.science.science import Data, Ddpm, Flow, Model, Science, Train

FURTHER = {
    "vector": {"vector": 3},
    "context": {"context_tokens": 5, "context_width": 12},
    "map": {"map_channels": 2, "map_height": 4, "map_width": 4},
}
VECTORS = {"vectors": True, "channels": 1, "height": 1, "width": 12, "modules": "1 4 7"}


def science(conditioning="adaln-zero", names=(), objective=None, model=None, **data) -> Science:
    fields = {key: value for name in names for key, value in FURTHER[name].items()}
    return Science(
        model=Model(
            depth=2, hidden=32, heads=2, conditioning=conditioning, **{"patch": 2, **(model or {})}
        ),
        data=Data(name="mine", kind="npz", **fields, **data),
        objective=objective or Ddpm(),
        train=Train(images=64, batch=8),
    )


def given(cfg: Science, batch: int = 4, seed: int = 0) -> Conditions:
    draw = torch.Generator().manual_seed(seed)
    data = cfg.data
    vector = torch.randn(batch, data.vector, generator=draw) if data.vector else None
    context = (
        torch.randn(batch, data.context_tokens, data.context_width, generator=draw)
        if data.context_tokens
        else None
    )
    mask = (
        torch.arange(data.context_tokens) < torch.arange(1, batch + 1)[:, None]
        if data.context_tokens
        else None
    )
    shape = (batch, data.map_channels, data.map_height, data.map_width)
    return Conditions(
        torch.arange(batch),
        vector,
        context,
        mask,
        torch.randn(shape, generator=draw) if shape[1] else None,
    )


def trained(cfg: Science) -> torch.nn.Module:
    """Return a network none of whose weights are zero, so that everything has an effect."""
    torch.manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model


COMBINATIONS = [
    (design, names, entry)
    for design, row in DESIGNS.items()
    for names in (("vector",), ("context",), ("map",), ("vector", "context", "map"))
    for entry in ("concat", "cross-attention")
    if not (
        not row.takes_sequences
        and ("context" in names or ("map" in names and entry == "cross-attention"))
    )
    and ("map" in names or entry == "concat")
]


@pytest.mark.parametrize(("design", "names", "entry"), COMBINATIONS)
def test_counts_are_those_of_fvcore_and_every_condition_has_an_effect_and_a_null(
    design, names, entry
):
    cfg = science(design, names, model={"map_entry": entry, "qk_norm": True, "layer_scale": 0.1})
    found = measure(cfg)
    assert (found.params, found.macs) == (cost.params(cfg), cost.fwd_macs(cfg))
    model = trained(cfg)
    y = given(cfg)
    x = torch.randn(4, 1, 8, 8)
    t = torch.full((4,), 500.0)
    out = model(x, t, y)
    other = given(cfg, seed=1)
    null = null_like(y, 10)
    for name in names:
        assert not torch.allclose(out, model(x, t, y._replace(**{name: getattr(other, name)})))
        part = "mask" if name == "context" else name
        without = y._replace(**{part: getattr(null, part)})
        assert torch.isfinite(model(x, t, without)).all()
        # without it, its value has no effect
        changed = without if name != "context" else without._replace(context=other.context)
        assert torch.equal(model(x, t, without), model(x, t, changed))
    assert torch.isfinite(model(x, t, null)).all()


@pytest.mark.parametrize("tokens", ["patches", "features", "modules"])
@pytest.mark.parametrize("positions", ["sincos-2d", "sincos-1d", "learned", "none"])
def test_vectors_are_tokens_of_blocks_features_or_modules(tokens, positions):
    cfg = science(
        model={"tokens": tokens, "patch": 4 if tokens == "patches" else 1, "positions": positions},
        **VECTORS,
    )
    assert cfg.tokens == {"patches": 3, "features": 12, "modules": 3}[tokens]
    found = measure(cfg)
    assert (found.params, found.macs) == (cost.params(cfg), cost.fwd_macs(cfg))
    model = trained(cfg)
    x = torch.randn(5, 1, 1, 12)
    out = model(x, torch.zeros(5), torch.arange(5))
    assert out.shape == (5, 2, 1, 12)
    # every feature is read and every feature is written
    x.requires_grad_()
    model(x, torch.zeros(5), torch.arange(5)).square().sum().backward()
    assert (x.grad != 0).all()


def test_a_module_reads_its_own_features_alone():
    model = trained(science(model={"tokens": "modules", "patch": 1}, **VECTORS))
    x = torch.zeros(1, 1, 1, 12)
    before = model.x_embedder(x)
    x[..., 5] = 1.0  # the first feature of the third module
    changed = (model.x_embedder(x) != before).any(-1)[0]
    assert changed.tolist() == [False, False, True]


def test_rectangles_of_any_channels():
    cfg = science(channels=3, height=4, width=12, model={"patch": 2})
    assert cfg.tokens == 12
    assert (measure(cfg).params, measure(cfg).macs) == (cost.params(cfg), cost.fwd_macs(cfg))
    assert build_model(cfg)(
        torch.randn(2, 3, 4, 12), torch.zeros(2), torch.zeros(2).long()
    ).shape == (2, 6, 4, 12)


@pytest.mark.parametrize("entry", ["concat", "cross-attention"])
def test_adaln_zero_blocks_are_the_identity_at_the_start(entry):
    cfg = science(names=("vector", "context", "map"), model={"map_entry": entry})
    model = build_model(cfg)
    x = torch.randn(4, 16, 32)
    context, mask = model.further.sequence(given(cfg))
    mods = model.modulation(torch.randn(4, 32))
    for i, block in enumerate(model.blocks):
        assert torch.equal(block(x, mods[6 * i : 6 * i + 6], context, mask), x)


def test_tokens_that_are_not_there_are_not_seen():
    cfg = science("cross-attention", ("context",))
    model = trained(cfg)
    y = given(cfg)
    x = torch.randn(4, 1, 8, 8)
    t = torch.zeros(4)
    hidden = y.context.clone()
    hidden[~y.mask] = 100.0
    assert torch.equal(model(x, t, y), model(x, t, y._replace(context=hidden)))


def test_a_plain_model_has_no_further_parts():
    for design, row in DESIGNS.items():
        plain = science(design)
        more = science(design, tuple(FURTHER) if row.takes_sequences else ("vector",))
        network = build_model(plain)
        assert network.further is None
        assert not [name for name in network.state_dict() if "further" in name]
        assert (
            sum(p.numel() for p in network.parameters()) == cost.params(plain) < cost.params(more)
        )


def test_drops_are_joint_and_each_at_its_own_rate():
    cfg = science(names=("vector", "context", "map"))
    y = given(cfg, batch=4)
    drop = torch.tensor([0.05, 0.15, 0.25, 0.35])
    out = dropped(y, drop, 10, 0.1, (0.2, 0.3, 0.4))
    assert out.label.tolist() == [10, 1, 2, 3]
    assert out.vector.isnan().all(1).tolist() == [True, True, False, False]
    assert (~out.mask).all(1).tolist() == [True, True, True, False]
    assert out.map.flatten(1).isnan().all(1).tolist() == [True, True, True, True]
    none = dropped(y, drop, 10, 0.0, (0.0, 0.0, 0.0))
    assert all(torch.equal(a, b) for a, b in zip(none, y, strict=True))
    assert torch.equal(
        dropped(y.label, drop, 10, 0.1, (1.0, 1.0, 1.0)), torch.tensor([10, 1, 2, 3])
    )
    both = joined(y, null_like(y, 10))
    assert len(both.label) == 8
    assert torch.equal(take(both, slice(0, 4)).vector, y.vector)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"design": "in-context", "names": ("context",)}, "context enter by cross-attention"),
        (
            {"design": "in-context", "names": ("map",), "model": {"map_entry": "cross-attention"}},
            "map_entry: concat",
        ),
        (
            {"map_channels": 1, "map_height": 3, "map_width": 3},
            "a map of 3x3 is no whole fraction of the input 8x8",
        ),
        (
            {
                "map_channels": 1,
                "map_height": 3,
                "map_width": 3,
                "model": {"map_entry": "cross-attention"},
            },
            "patch 2",
        ),
        ({"map_channels": 1}, "map_channels given without map_height, map_width"),
        ({"model": {"tokens": "modules"}}, "data 'mine' are images"),
        ({"model": {"tokens": "features", "patch": 2}, **VECTORS}, "patch 2 has no meaning"),
        (
            {"model": {"tokens": "modules", "patch": 1}, **{**VECTORS, "modules": ""}},
            "data.modules",
        ),
        ({**VECTORS, "modules": "1 4"}, "modules '1 4' group 5 features of 12"),
        ({**VECTORS, "height": 8}, "height 1"),
        ({"flip": True, "vector": 2}, "flip would mirror"),
    ],
)
def test_what_does_not_go_together_is_said_at_plan_time(change, says):
    change = dict(change)
    design = change.pop("design", "adaln-zero")
    names = change.pop("names", ())
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        science(design, names, **change)


def test_a_condition_that_is_missing_or_of_another_shape_is_named():
    cfg = science(names=("vector", "context"))
    model = build_model(cfg)
    y = given(cfg)
    x = torch.randn(4, 1, 8, 8)
    t = torch.zeros(4)
    for wrong, says in (
        (y.label, "takes vector, context beside labels"),
        (y._replace(vector=None), "'vector' must be of shape .batch, 3.; was given nothing"),
        (y._replace(vector=torch.zeros(4, 2)), "was given .4, 2."),
        (y._replace(mask=None), "needs a mask"),
    ):
        with pytest.raises(UserError, match=says):
            model(x, t, wrong)


def test_a_flow_takes_them_too():
    cfg = science(names=("vector", "map"), objective=Flow())
    assert trained(cfg)(torch.randn(2, 1, 8, 8), torch.zeros(2), given(cfg, 2)).shape == (
        2,
        1,
        8,
        8,
    )
