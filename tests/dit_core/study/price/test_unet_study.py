"""The U-Net in the study language: its settings, its place in a grid, what it cannot be, the one
that costs as much.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from dit_sciences import LATENT, published, unet

from dit_core.cli.shared.stages_table import stage_document
from dit_core.cli.shared.unets_table import unet_document
from dit_core.errors import StudyError, UserError
from dit_core.study.grid.expand import Expansion, expand
from dit_core.study.language.spec import parse_study
from dit_core.study.price import cost, unet_cost
from dit_core.study.price.facts import cost_facts, network_facts
from dit_core.study.price.predict import pass_terms, step_terms
from dit_core.study.science import ids
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.science import Data, Science
from dit_core.study.science.unet import UNet


def expanded(text: str) -> Expansion:
    return expand(parse_study("study: a\nquestion: b\n" + text, Path("x.yaml")))


BOTH = """
base: {train: {duration: 10 steps, batch: 64}}
include:
  - {model.size: XXS, model.patch: [2, 4], train.seed: [0, 1]}
  - {model.family: unet, model.channels: [8, 16], model.groups: 4, train.seed: [0, 1]}
"""


def test_a_study_holds_both_families():
    runs = expanded(BOTH).runs
    assert [run.name for run in runs if run.science.model.family == "unet"] == [
        f"family=unet,channels={c},groups=4,seed={s}" for c in (8, 16) for s in (0, 1)
    ]
    assert len(runs) == len({run.run_id for run in runs}) == 8
    for run in runs:
        assert Science.model_validate(json.loads(ids.canonical_json(run.science))) == run.science


def test_the_family_is_an_axis_and_a_filter():
    text = "axes: {model.family: [dit, unet]}\nbase: {model: {%s}, train: {duration: 10 steps}}"
    with pytest.raises(
        StudyError, match=r"model.channels does not belong to family 'dit'.*at family=dit"
    ):
        expanded(text % "size: XXS, patch: 2, channels: 8")
    with pytest.raises(StudyError, match=r"model\.size does not belong to family 'unet'"):
        expanded(text % "size: XXS, patch: 2, channels: 8")
    chosen = expanded(BOTH + "evaluate: [{protocol: digits, where: {model.family: unet}}]").runs
    assert [len(run.evaluations) for run in chosen] == [0] * 4 + [1] * 4


def test_excludes_see_the_family():
    text = """
base: {model.family: unet, model.groups: 4, train: {duration: 10 steps}}
axes: {model.channels: [8, 16], model.levels: [1, 2]}
exclude: [{model.family: unet, model.channels: 8, model.levels: 2}]
"""
    assert len(expanded(text).runs) == 3
    with pytest.raises(
        StudyError, match=r"exclude\[0\]: no point of the axes has model\.family dit"
    ):
        expanded(
            text.replace(
                "model.family: unet, model.channels: 8, model.levels: 2", "model.family: dit"
            )
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("channels: 12", "channels 12 are not a multiple of groups 8; 16 are"),
        ("channels: 8, levels: 5", "which 8x8 cannot be; levels that fit: [1, 2, 3, 4]"),
        ("channels: 8, head_channels: 12", "head_channels 12 do not divide the 16 channels"),
        ("channels: 8, growth: 0", "wants a whole number > 0"),
        ("channels: 8, attention: top", "one of none, bottom, all"),
        ("levels: 2", "missing: model.channels"),
        ("channels: 8, patch: 2", "model.patch does not belong to family 'unet'"),
        ("channels: 8, size: XL", "model.size does not belong to family 'unet'"),
        ("chanels: 8", "did you mean 'channels'"),
    ],
)
def test_what_cannot_be_is_named(settings: str, words: str):
    with pytest.raises(StudyError) as caught:
        expanded(f"base: {{model: {{family: unet, {settings}}}, train: {{duration: 10 steps}}}}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "what"), [("digits-measured", "vector"), ("digits-half", "map"), ("wine", "vectors")]
)
def test_conditions_besides_the_label_are_refused(name: str, what: str):
    with pytest.raises(
        ValueError, match=f"a U-Net takes images and their labels; data '{name}' have {what}"
    ):
        unet(data=BUILT_IN[name], levels=1)


def test_ids_are_pinned():
    science = unet()
    assert ids.canonical_json(science.model) == (
        '{"attention":"bottom","channels":8,"family":"unet","groups":4,"growth":2,"head_channels":4,"layers":1,'
        '"levels":2}'
    )
    assert ids.run_id(science) == "352b1b6f15a793a0"


def test_tables_have_nothing_where_a_unet_has_nothing():
    science = unet()
    facts = network_facts(science)
    assert (facts.pop("model_family"), facts.pop("model_size")) == ("unet", "U8x2n1h4k4")
    assert facts == {"patch": None, "conditioning": None, "tokens": None}
    assert cost_facts(science)["fwd_gmacs"] == cost.fwd_macs(science) / 1e9
    assert all(
        value > 0 for value in (*step_terms(science).values(), *pass_terms(science, 3).values())
    )
    with pytest.raises(
        TypeError, match="a network of family 'unet' has no blocks, patches or tokens"
    ):
        _ = science.tokens


@pytest.mark.parametrize("size", ["S", "B", "XL"])
@pytest.mark.parametrize("attention", ["none", "bottom", "all"])
def test_the_nearest_unet_is_near_and_none_is_nearer(size: str, attention: str):
    like = UNet(channels=16, levels=3, attention=attention, head_channels=16)
    wanted = cost.fwd_macs(published(size, 2))
    found = unet_cost.sized(wanted, like, LATENT, 8)
    off = abs(math.log(unet_cost.fwd_macs(found, LATENT, 8) / wanted))
    assert off < 0.05
    for layers in (1, 2, 3, 4):
        for channels in range(8, found.channels * 3, 8):
            if attention == "all" and channels % 16:
                continue
            other = UNet(
                channels=channels, layers=layers, levels=3, attention=attention, head_channels=16
            )
            assert off <= abs(math.log(unet_cost.fwd_macs(other, LATENT, 8) / wanted))


def test_a_plan_names_the_unet_that_costs_as_much():
    rows = unet_document("a", expanded(BOTH).runs)["runs"]
    for row in rows:
        model = UNet.model_validate(row["unet"])
        assert unet_cost.fwd_macs(model, Data(), 2) / 1e9 == row["unet_fwd_gmacs"]
        assert row["ratio"] == pytest.approx(row["unet_fwd_gmacs"] / row["fwd_gmacs"])
    same = {row["name"]: row["ratio"] for row in rows if "unet" in row["name"]}
    assert set(same.values()) == {1.0}, "of a U-Net it is a U-Net of the same cost"


def test_stages_are_of_transformers_alone():
    runs = expanded(BOTH).runs
    assert len(stage_document("a", runs, 2)["runs"]) == 4
    with pytest.raises(UserError, match="no run of a Transformer, whose blocks could be split"):
        stage_document("a", [run for run in runs if run.science.model.family == "unet"], 2)
