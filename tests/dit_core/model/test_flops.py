"""Closed forms, fvcore and the paper's Table 4, three counts of the same networks."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from dit_sciences import DESIGNS, LATENT, published, small, unet
from torch import nn

from dit_core.model.flops import UncountedError, count_macs, measure
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study
from dit_core.study.price import cost
from dit_core.study.science.science import Ddpm, Flow
from dit_core.study.science.unet import UNet

# Table 4 of the paper: size, patch, latent side, design, params in millions, Gflops
# (multiply-accumulates).
PAPER = [
    ("S", 8, 32, "adaln-zero", 33, 0.36),
    ("S", 4, 32, "adaln-zero", 33, 1.41),
    ("S", 2, 32, "adaln-zero", 33, 6.06),
    ("B", 8, 32, "adaln-zero", 131, 1.42),
    ("B", 4, 32, "adaln-zero", 130, 5.56),
    ("B", 2, 32, "adaln-zero", 130, 23.01),
    ("L", 8, 32, "adaln-zero", 459, 5.01),
    ("L", 4, 32, "adaln-zero", 458, 19.70),
    ("L", 2, 32, "adaln-zero", 458, 80.71),
    ("XL", 8, 32, "adaln-zero", 676, 7.39),
    ("XL", 4, 32, "adaln-zero", 675, 29.05),
    ("XL", 2, 32, "adaln-zero", 675, 118.64),
    ("XL", 2, 32, "in-context", 449, 119.37),
    ("XL", 2, 32, "cross-attention", 598, 137.62),
    ("XL", 2, 32, "adaln", 600, 118.56),
    ("XL", 2, 64, "adaln-zero", 675, 524.60),
]
WITHIN = 0.003
ROOT = Path(__file__).parents[3]


def agrees(value: float, printed: float, unit: float) -> bool:
    """Return whether `value` is within 0.3 % of a printed number, or rounds to it."""
    return abs(value / printed - 1) <= WITHIN or abs(value - printed) <= unit / 2


@pytest.mark.parametrize("row", PAPER, ids=lambda r: f"{r[0]}/{r[1]} {r[3]} {r[2]}")
def test_closed_form_fvcore_and_paper_agree(row):
    size, patch, side, design, params_m, gmacs = row
    science = published(size, patch, side, design)
    counted = measure(science)
    # Not within 0.3 %: the same integers.
    assert counted.macs == cost.fwd_macs(science)
    assert counted.params == cost.params(science)
    assert agrees(counted.macs / 1e9, gmacs, 0.01)
    assert agrees(counted.params / 1e6, params_m, 1.0)


def test_the_paper_here_is_the_paper_in_results():
    path = ROOT / "results" / "published" / "dit_scaling.csv"
    kinds = {"paper_scaling12", "paper_conditioning", "paper_longer_or_512"}
    rows = [r for r in csv.DictReader(path.open()) if r["kind"] in kinds]
    theirs = {
        (r["size"], int(r["patch"]), int(r["latent"].split("x")[0]), r["block"].lower()): (
            float(r["params_M"]),
            float(r["gflops_fwd(=GMACs)"]),
        )
        for r in rows
    }
    assert theirs == {row[:4]: (float(row[4]), row[5]) for row in PAPER}


@pytest.mark.parametrize("design", DESIGNS)
def test_options_are_counted(design):
    for extra in (
        {"qk_norm": True},
        {"layer_scale": 0.1},
        {"positions": "learned"},
        {"mlp_ratio": 2.5},
        {"qk_norm": True, "layer_scale": 0.1, "positions": "none"},
    ):
        objective = Ddpm() if "qk_norm" in extra else Flow()
        science = small(conditioning=design, objective=objective, depth=1, **extra)
        counted = measure(science)
        assert (counted.macs, counted.params) == (cost.fwd_macs(science), cost.params(science)), (
            extra
        )


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"levels": 1, "attention": "none"},
        {"levels": 3, "attention": "all", "layers": 2},
        {"growth": 1, "channels": 12},
        {"data": LATENT, "channels": 32, "levels": 3, "head_channels": 16, "objective": Flow()},
    ],
    ids=str,
)
def test_unets_are_counted(shape):
    science = unet(**shape)
    counted = measure(science)
    assert (counted.macs, counted.params) == (cost.fwd_macs(science), cost.params(science))


def test_the_unets_of_the_studies_are_counted():
    sciences = {
        (run.science.model, run.science.data, run.science.objective): run.science
        for path in (ROOT / "studies").glob("*.yaml")
        for run in expand(load_study(path)).runs
        if isinstance(run.science.model, UNet)
    }
    for science in sciences.values():
        counted = measure(science)
        assert (counted.macs, counted.params) == (cost.fwd_macs(science), cost.params(science))


def test_docs_print_these_numbers():
    text = (ROOT / "docs" / "model.md").read_text()
    for size, patch, side, design, params_m, gmacs in PAPER:
        science = published(size, patch, side, design)
        row = (
            f"| {size}/{patch} | {design} | {side * 8} | {params_m} | "
            f"{cost.params(science) / 1e6:.2f} "
            f"| {gmacs:.2f} | {cost.fwd_macs(science) / 1e9:.3f} |"
        )
        assert row in text


class OneLayer(nn.Module):
    """A layer that fvcore does not know, in front of one that it does."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        if self.kind == "baddbmm":
            x = torch.baddbmm(x, x, x)
        if self.kind == "mv":
            x = x + torch.mv(x[0], x[0, 0])
        if self.kind == "fused":
            x = nn.functional.scaled_dot_product_attention(x, x, x)
        return self.linear(x)


@pytest.mark.parametrize("kind", ["baddbmm", "mv"])
def test_a_count_with_a_gap_is_refused(kind):
    with pytest.raises(UncountedError, match=f"would leave out aten::{kind}"):
        count_macs(OneLayer(kind), [torch.randn(4, 4, 4)])


def test_fused_attention_is_counted():
    plain = count_macs(OneLayer("none"), [torch.randn(4, 4, 4)])
    assert count_macs(OneLayer("fused"), [torch.randn(4, 4, 4)]) - plain == 4 * 2 * 4 * 4 * 4
