"""U-Nets among Transformers: rows without patch or tokens, figures that draw both, claims that tell
them apart.
"""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.text import Text
from study_frames import own_runs, study_of

from analysis.claims.judge import judge
from analysis.figures import catalogue, style
from analysis.select.compare import compare
from analysis.select.configuration import MODEL, short_name
from analysis.select.points import average_seeds, final_points
from analysis.tables.extract import read_run_folder
from dit_core.records.paths import Store
from dit_core.records.run_record import open_run
from dit_core.study.science import ids
from dit_core.study.science.claim_kinds import parse_claim
from dit_core.study.science.science import Data, Ddpm, Model, Science, Train
from dit_core.study.science.unet import UNet


def both() -> pd.DataFrame:
    """Return nine Transformers and three U-Nets of about their cost, each of two seeds at two
    numbers of steps.
    """
    rows = own_runs().assign(model_family="dit", model_layer_scale=None)
    unets = rows[rows["patch"] == 2].copy()
    width = unets["model_size"].map({"XXXS": "U8x2", "XXS": "U16x2", "XS": "U24x2"})
    unets = unets.assign(
        model_size=width, model_family="unet", patch=None, conditioning=None, tokens=None
    )
    unets["run_id"] = "u" + unets["run_id"]
    unets["name"] = "family=unet," + width + ",seed=" + unets["seed"].astype(str)
    for column in ("fd_digits", "fd_digits_low", "fd_digits_high"):
        unets[column] *= 2
    return pd.concat([rows, unets], ignore_index=True)


def test_a_run_folder_of_a_unet_is_a_row_without_what_it_has_not(tmp_path):
    for network in (UNet(channels=8), Model(depth=1, hidden=32, heads=2, patch=2)):
        science = Science(
            model=network, data=Data(), objective=Ddpm(), train=Train(images=160, batch=16)
        )
        paths = Store(tmp_path).run(ids.run_id(science))
        open_run(paths, science)
        (row,) = read_run_folder(paths, tmp_path).runs
        unet = network.family == "unet"
        assert (row["model_family"], row["model_size"]) == (network.family, network.size)
        assert (row["patch"], row["tokens"], row["conditioning"]) == (
            (None, None, None) if unet else (2, 16, "adaln-zero")
        )
        assert row.get("model_channels") == (8 if unet else None)
        assert row.get("model_time_frequencies") == (None if unet else "released")
        assert row["params"] > 0
        assert row["fwd_gmacs"] > 0


@pytest.mark.parametrize("name", ["gmacs-quality", "bubbles", "sampling-compute"])
def test_figures_draw_both(name: str):
    fig = catalogue.draw(name, study_of(both()), False)
    words = {text.get_text() for text in fig.findobj(Text)}
    assert {"U8x2", "U16x2", "U24x2"} < words
    assert any(word.startswith("XXXS") for word in words)
    style.close(fig)


def test_curves_of_unets_have_a_panel_of_their_own():
    frame = both()
    curves = pd.DataFrame(
        [{"run_id": r, "images": i, "loss": 1.0 / i} for r in set(frame["run_id"]) for i in (1, 2)]
    )
    fig = catalogue.draw("loss-curves", study_of(frame, curves), False)
    assert [ax.get_title(loc="left") for ax in fig.axes][-1] == "U-Net"
    style.close(fig)


def test_a_unet_is_named_by_its_size_and_its_seeds_are_one_point():
    frame = both()[lambda f: f["steps"] == 50]
    means = average_seeds(frame, "fd_digits", MODEL)
    names = sorted(short_name(row) for _, row in means.iterrows())
    assert len(means) == len(set(names)) == 12
    assert {"U8x2", "U16x2", "U24x2", "XS/2"} <= set(names)


def claim(numerator: dict, denominator: dict, at_least: float):
    record = {
        "id": "c",
        "text": "t",
        "kind": "ratio",
        "metric": "fd_digits",
        "where": {"steps": 50},
    }
    return parse_claim(
        record | {"numerator": numerator, "denominator": denominator, "at_least": at_least}
    )


def test_a_ratio_averages_seeds_and_knows_families():
    unet = {"model_family": "unet", "model_size": "U16x2"}
    dit = {"model_family": "dit", "model_size": "XXS", "patch": 2}
    found = judge(claim(unet, dit, 1.2), study_of(both()))
    assert (found.verdict, found.n) == ("SUPPORTED", 4)
    assert found.estimate == pytest.approx(2.0, rel=0.01)


def test_null_selects_rows_that_have_none():
    frame = both()[lambda f: f["model_family"] == "dit"]
    scaled = frame.assign(
        model_layer_scale=0.1, run_id="s" + frame["run_id"], fd_digits=frame["fd_digits"] * 3
    )
    source = study_of(pd.concat([frame, scaled], ignore_index=True))
    one = {"model_size": "XXS", "patch": 2}
    found = judge(
        claim({**one, "model_layer_scale": 0.1}, {**one, "model_layer_scale": None}, 2.0), source
    )
    assert (found.verdict, found.n) == ("SUPPORTED", 4)
    assert found.estimate == pytest.approx(3.0, rel=0.01)


def test_families_stand_side_by_side():
    frame = both()[lambda f: (f["steps"] == 50) & (f["patch"].isna() | (f["patch"] == 2))]
    found = compare(frame, "model_family", "fd_digits")
    assert [row["model_family"] for row in found.rows] == ["dit", "unet"]
    assert found.rows[1]["difference"] > 0


def test_unets_stand_beside_the_design_that_most_transformers_have():
    frame = both()
    other = frame[frame["model_family"] == "dit"].head(2).assign(conditioning="in-context")
    other["run_id"] = "c" + other["run_id"]
    points = final_points(pd.concat([frame, other], ignore_index=True), "fd_digits")
    assert "nan" not in points.setting
    assert points.setting.startswith("adaln-zero")
    assert set(points.frame["model_family"]) == {"dit", "unet"}
    assert "in-context" not in set(points.frame["conditioning"])
