"""Studies with several training points, seeds, settings and kinds of model: what stands where, and
what never mixes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from study_frames import own_runs, study_of

from analysis.claims.rows import rows_of
from analysis.figures import catalogue, style
from analysis.figures.paper import sample_grid
from analysis.figures.paper.conditioning import conditioning
from analysis.figures.paper.loss_curves import loss_curves
from analysis.figures.paper.sampling_compute import sampling_compute
from analysis.figures.paper.size_patch import size_patch
from analysis.figures.paper.training_compute import training_compute
from analysis.select.configuration import config_names
from analysis.select.points import average_seeds, final_points
from analysis.select.sampling_cost import sampling_gmacs
from analysis.select.source import narrowed
from analysis.write.paper_tables import study_tables
from dit_core.study.science.claim_kinds import parse_claim

END = 96000


def trained(seeds: int = 1) -> pd.DataFrame:
    """Return the runs of `own_runs` measured at a quarter, a half and the end of their training."""
    frame = own_runs(seeds).assign(train_images=END)
    parts = [
        frame.assign(
            images_seen=END // i,
            fd_digits=frame["fd_digits"] + 10 * i,
            eval_id=frame["eval_id"] + f"-{i}",
        )
        for i in (4, 2, 1)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(
        train_flops=6e9 * rows["fwd_gmacs"] * rows["images_seen"],
        sampling_gmacs=sampling_gmacs(rows),
    )


def texts(fig) -> str:
    return "\n".join(t.get_text() for t in fig.findobj(lambda a: hasattr(a, "get_text")))


def drawn(ax) -> list[tuple[list[float], list[float]]]:
    return [(list(map(float, k.get_xdata())), list(map(float, k.get_ydata()))) for k in ax.lines]


def test_every_point_stands_at_its_own_compute():
    points = final_points(trained(), "fd_digits", every=True)
    fig = training_compute(points)
    rows = points.frame[points.frame["run_id"] == "XS10"].sort_values("images_seen")
    wanted = ([6e9 * 0.048 * n for n in (END // 4, END // 2, END)], rows["fd_digits"].tolist())
    assert any(
        np.allclose(x, wanted[0]) and np.allclose(y, wanted[1]) for x, y in drawn(fig.axes[0])
    )
    style.close(fig)


def test_an_unfinished_run_does_not_stand_beside_finished_ones():
    rows = trained()
    rows = rows[(rows["run_id"] != "XS10") | (rows["images_seen"] < END)]
    points = final_points(rows, "fd_digits")
    assert (points.shown, points.of) == (8, 9)
    assert set(points.frame["images_seen"]) == {END}
    assert "1 measured at an earlier training point only" in points.footer
    claim = parse_claim(
        {"id": "c", "text": "t", "kind": "threshold", "metric": "fd_digits", "at_most": 1}
    )
    found = rows_of(claim, study_of(rows))
    assert "XS10" not in set(found.frame["run_id"])
    assert "1 measured at an earlier training point only" in found.setting


def test_runs_of_two_lengths_stand_at_their_own_ends():
    rows = trained()
    short = rows[(rows["run_id"] == "XS10") & (rows["images_seen"] < END)]
    short = short.assign(run_id="short", train_images=END // 2)
    points = final_points(pd.concat([rows, short], ignore_index=True), "fd_digits")
    assert points.frame.set_index("run_id")["images_seen"]["short"] == END // 2
    assert len(average_seeds(points.frame, "fd_digits")) == 10


def test_a_line_holds_the_same_seeds_at_all_its_points():
    rows = trained(2)
    rows = rows[(rows["images_seen"] == END) & ((rows["seed"] == 0) | (rows["steps"] == 50))]
    points = final_points(rows, "fd_digits", keep=("steps",))
    fig = sampling_compute(points)
    first = rows[rows["run_id"] == "XS10"].sort_values("steps")["fd_digits"].tolist()
    assert any(np.allclose(y, first) for _, y in drawn(fig.axes[0]) if len(y) == 2)
    assert "9 of 18 runs; 9 measured at fewer points than another seed not drawn" in texts(
        fig
    ).replace("\n", " ")
    assert "ddpm sampler" in texts(fig)
    style.close(fig)


def test_configurations_of_one_size_and_patch_are_not_one_line():
    rows = trained().assign(model_layer_scale=np.nan)
    rows = rows[(rows["model_size"] == "XS") & (rows["patch"] == 2)]
    scaled = rows.assign(model_layer_scale=0.1, run_id="scaled", fd_digits=rows["fd_digits"] + 100)
    both = pd.concat([rows, scaled], ignore_index=True)
    assert set(config_names(both)) == {"XS/2 no layer scale", "XS/2 layer scale 0.1"}
    assert set(config_names(rows)) == {"XS/2"}
    points = final_points(both, "fd_digits", every=True)
    for fig in (training_compute(points), size_patch(points)):
        assert "XS/2 layer scale 0.1" in texts(fig)
        assert len([1 for _, y in drawn(fig.axes[0]) if len(y) == 3]) == 2
        style.close(fig)
    four = study_tables(final_points(both, "fd_digits", same_design=False))[1]
    assert four.header[0] == "Configuration"
    assert [row[0] for row in four.rows] == ["XS/2 layer scale 0.1", "XS/2 no layer scale"]


def test_learning_rates_are_not_seeds():
    rows = own_runs(1).assign(train_lr=1e-3)
    faster = rows.assign(
        train_lr=3e-3, run_id=rows["run_id"] + "f", fd_digits=rows["fd_digits"] + 50
    )
    points = final_points(pd.concat([rows, faster], ignore_index=True), "fd_digits")
    means = average_seeds(points.frame, "fd_digits")
    assert (len(means), set(means["seeds"])) == (18, {1})
    assert "XS/1 lr 0.003" in set(config_names(means))


def test_conditioning_designs_are_those_of_one_model_and_one_objective():
    rows = trained()
    rows = rows[(rows["patch"] == 2) | (rows["patch"] == 1)].astype({"patch": float})
    designs = [
        rows.assign(conditioning=c, run_id=rows["run_id"] + c) for c in ("adaln-zero", "in-context")
    ]
    flow = designs[0].assign(objective="flow", run_id=rows["run_id"] + "flow", fd_digits=500.0)
    points = final_points(
        pd.concat([*designs, flow], ignore_index=True), "fd_digits", same_design=False, every=True
    )
    fig = conditioning(points)
    assert "Conditioning designs at XS/1 ddpm" in texts(fig)
    assert max(y for _, ys in drawn(fig.axes[0]) for y in ys) < 500
    assert "2 of 18 runs; 16 of other models not drawn" in texts(fig)
    style.close(fig)


def test_patches_are_named_without_a_point():
    rows = trained().astype({"patch": float})
    fig = size_patch(final_points(rows, "fd_digits", every=True))
    assert [ax.get_title(loc="left") for ax in fig.axes][:3] == ["patch 4", "patch 2", "patch 1"]
    assert "9 of 9 runs" in texts(fig)
    style.close(fig)


def test_a_rare_setting_is_one_and_named():
    rows = own_runs(1).assign(eta=0.0)
    noisy = rows.assign(eta=1.0, eval_id=rows["eval_id"] + "n", fd_digits=500.0)
    points = final_points(pd.concat([rows, noisy], ignore_index=True), "fd_digits")
    assert set(points.frame["eta"]) == {0.0}
    assert "eta 0.0" in points.footer
    assert "eta" not in final_points(rows, "fd_digits").footer


def test_guided_samples_name_their_guidance_and_their_model(tmp_path):
    from PIL import Image

    picture = tmp_path / "g.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture)
    one = own_runs(1).assign(guidance=2.0)
    two = one.assign(guidance=4.0, eval_id=one["eval_id"] + "g")
    for frame, words in (
        (one, "guidance 2"),
        (pd.concat([one, two]), "Guided samples by model and guidance"),
    ):
        source = study_of(frame.reset_index(drop=True))
        source.pictures.update(dict.fromkeys(frame["eval_id"], picture))
        fig = catalogue.draw("guided-samples", source)
        assert words in texts(fig)
        style.close(fig)
    grids = sample_grid.grids_of(
        pd.concat([one, two]),
        dict.fromkeys([*one["eval_id"], *two["eval_id"]], picture),
        "guidance",
    )
    assert len(grids) == 18
    assert grids[0].row == "XXXS/1"


def test_where_narrows_the_curves_too():
    frame = own_runs(1)
    curves = pd.DataFrame(
        [{"run_id": r, "images": i, "loss": 1.0 / i} for r in set(frame["run_id"]) for i in (1, 2)]
    )
    source = narrowed(study_of(frame, curves), {"patch": 2})
    assert (
        set(source.metrics["run_id"]) == set(source.runs["run_id"]) == {"XXXS20", "XXS20", "XS20"}
    )


def test_loss_curves_are_means_over_five_rows_and_bridge_nothing():
    run = own_runs(1).head(1)
    loss = [1.0, 2.0, 3.0, 4.0, 5.0, np.nan, 7.0]
    rows = pd.DataFrame({"run_id": run["run_id"].iloc[0], "images": range(7), "loss": loss})
    fig = loss_curves(run, rows)
    _, mean = fig.axes[0].lines
    assert mean.get_ydata()[2] == 3.0
    assert np.isnan(mean.get_ydata()[5])
    style.close(fig)
