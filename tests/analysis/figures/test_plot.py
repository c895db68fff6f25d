"""`ditlab plot`: any column against any other; seeds, intervals, protocols, stable bytes."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from command_line import answer
from study_frames import study_of
from synthetic_store import fill

from analysis.figures import style
from analysis.figures.plot import draw_plot
from analysis.figures.plot_rows import Plot, plotted
from dit_core.errors import UserError
from dit_core.records.paths import Store

BASE = {
    "model_size": "XS",
    "patch": 2,
    "conditioning": "adaln-zero",
    "objective": "ddpm",
    "train_lr": 1e-3,
    "train_ema": 0.99,
    "seed": 0,
    "params": 1e5,
    "fwd_gmacs": 0.001,
    "outcome": "DONE",
    "images_seen": 9600,
    "sampler": "ddim",
    "steps": 10,
    "guidance": 1.0,
    "samples": 1797,
    "protocol": "digits",
}


def source(*changes: dict[str, object]):
    rows = []
    for number, change in enumerate(changes):
        row = BASE | {"run_id": f"r{number}", "eval_id": f"e{number}", "name": f"n{number}"}
        row |= {"fd_digits": 10.0 + number}
        row |= change
        row.setdefault("fd_digits_low", row["fd_digits"] - 1)
        row.setdefault("fd_digits_high", row["fd_digits"] + 1)
        rows.append(row)
    return study_of(pd.DataFrame(rows))


def lrs(**more: object):
    return source(*[{"train_lr": lr, **more} for lr in (1e-4, 1e-3, 1e-2)])


def test_seeds_are_averaged_and_the_interval_is_that_of_trainings():
    found = plotted(
        source(
            {"fd_digits": 10.0},
            {"fd_digits": 14.0, "seed": 1},
            {"train_lr": 1e-2, "fd_digits": 5.0},
        ),
        Plot("train.lr", "fd_digits"),
    ).rows.sort_values("train_lr")
    assert found["fd_digits"].tolist() == [12.0, 5.0]
    assert (found["low"] < [10.0, 4.0]).all()
    assert (found["high"] > [14.0, 6.0]).all()
    assert set(found["repeats"]) == {1}


def test_a_line_joins_what_differs_in_x_alone_and_counts_the_rest():
    changes = [{"train_lr": lr} for lr in (1e-4, 1e-3, 1e-2)] + [{"train_ema": 0.5}]
    found = plotted(source(*changes), Plot("train_lr", "fd_digits"))
    assert found.is_joined
    assert len(found.rows) == 3
    assert found.footer.startswith("3 of 4 runs")
    assert "1 point without a counterpart that differs in train_lr alone not drawn" in found.footer


def test_lines_of_one_series_that_differ_are_named_by_what_differs():
    changes = [{"train_lr": lr, "train_ema": e} for lr in (1e-4, 1e-3) for e in (0.5, 0.9)]
    found = plotted(source(*changes), Plot("train_lr", "fd_digits", by=("model_size",)))
    assert sorted(found.rows["series"].unique()) == ["XS, XS/2 ema 0.5", "XS, XS/2 ema 0.9"]


def test_the_best_guidance_is_the_lowest_mean_over_seeds():
    values = {(1.0, 0): 9.0, (1.0, 1): 15.0, (2.0, 0): 10.0, (2.0, 1): 11.0}
    changes = [
        {"run_id": f"s{seed}", "seed": seed, "guidance": g, "fd_digits": fd}
        for (g, seed), fd in values.items()
    ]
    found = plotted(source(*changes), Plot("train_lr", "fd_digits", best="guidance"))
    assert found.rows["guidance"].tolist() == [2.0]
    assert found.rows["fd_digits"].tolist() == [10.5]
    assert "its best guidance (2)" in found.footer


def test_both_objectives_are_drawn_each_with_its_sampler():
    changes = [
        {"objective": o, "sampler": s, "fwd_gmacs": g, "model_size": size}
        for o, s in (("ddpm", "ddim"), ("flow", "euler"))
        for g, size in ((0.001, "XS"), (0.01, "S"))
    ]
    found = plotted(source(*changes), Plot("fwd_gmacs", "fd_digits", by=("objective",)))
    assert sorted(found.rows["series"]) == ["ddpm", "ddpm", "flow", "flow"]
    assert "4 of 4 runs" in found.footer
    assert "ddim" in found.footer
    assert "euler" in found.footer


def test_rows_of_two_protocols_share_no_axis_unless_mixed():
    two = source({"train_lr": 1e-4}, {"protocol": "other"})
    with pytest.raises(UserError, match="2 protocols"):
        plotted(two, Plot("train_lr", "fd_digits"))
    assert len(plotted(two, Plot("train_lr", "fd_digits"), mix=True).rows) == 2


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        (
            Plot("train_lrr", "fd_digits"),
            "--x 'train_lrr': no such column, did you mean 'train_lr'",
        ),
        (Plot("train_lr", "sampler"), "holds text, not numbers"),
        (Plot("train_lr", "fd_digits", by=("pach",)), "did you mean 'patch'"),
        (Plot("train_lr", "fd_digits", log="z"), "allowed are x, y, xy"),
        (Plot("train_lr", "params", best="guidance"), "no better direction"),
    ],
)
def test_what_is_wrong_is_named(plot, words):
    with pytest.raises(UserError, match=words):
        plotted(lrs(), plot)


def test_a_log_axis_of_zero_is_refused():
    with pytest.raises(UserError, match="values of zero or below"):
        draw_plot(source({"train_lr": 0.0}, {}), Plot("train_lr", "fd_digits", log="x"))


def test_the_same_records_give_the_same_bytes_and_a_footer(tmp_path):
    plot = Plot("train_lr", "fd_digits", by=("model_size",), log="x")
    made = []
    for name in ("a", "b"):
        fig, _ = draw_plot(lrs(), plot)
        words = "\n".join(t.get_text() for t in fig.findobj(lambda a: hasattr(a, "get_text")))
        made.append(style.save(fig, tmp_path / name, ["svg"])[0].read_bytes())
    assert made[0] == made[1]
    assert "3 of 3 runs" in words
    assert "protocol digits" in words
    assert "table " in words
    assert "Whiskers" in words


def test_the_papers_numbers_are_plotted_one_table_at_a_time(tmp_path, capsys):
    words = ("plot", "published", "--x", "fwd_gmacs", "--by", "patch", "--log", "xy")
    code, _, err = answer(capsys, *words, "--out", str(tmp_path / "p.svg"))
    assert code == 2
    assert "choose one with --where table=" in err
    chosen = ("--where", "table=paper_scaling12", "--out", str(tmp_path / "p.svg"), "--json")
    code, out, err = answer(capsys, *words, *chosen)
    assert code == 0, err
    assert len(json.loads(out)["rows"]) == 12


def test_the_command_draws_a_store(tmp_path, capsys):
    fill(Store(tmp_path), 8, points=5, evals=1)
    study = next((tmp_path / "studies").iterdir()).name
    words = ("plot", study, "--x", "model.conditioning", "--y", "fd_digits", "--by", "patch")
    code, out, err = answer(capsys, *words, "--results", str(tmp_path))
    assert code == 0, err
    assert out.strip().endswith("plot-fd_digits-model_conditioning-by-patch.png")
    code, _, err = answer(capsys, *words, "--results", str(tmp_path), "--out", "x.gif")
    assert code == 2
    assert "allowed are .png, .svg, .pdf" in err


def test_a_line_over_compute_joins_the_sizes_of_one_design_and_never_two_designs():
    """Adaln-zero in three sizes and one adaln model: its point stands by itself, with its name."""
    sizes = [{"model_size": s, "fwd_gmacs": g} for s, g in (("S", 1.0), ("B", 4.0), ("L", 20.0))]
    other = {"model_size": "B", "fwd_gmacs": 4.1, "conditioning": "adaln", "fd_digits": 90.0}
    found = plotted(source(*sizes, other), Plot("fwd_gmacs", "fd_digits", by=("patch",)))
    assert found.is_joined
    per_line = found.rows.groupby("line")["conditioning"].agg(["nunique", "size"])
    assert per_line["nunique"].tolist() == [1, 1]
    assert sorted(per_line["size"]) == [1, 3]
    assert {text.rpartition(", ")[2] for text in found.rows["series"]} == {"adaln", "adaln-zero"}


def test_the_last_word_of_a_column_is_understood():
    with pytest.raises(UserError, match="did you mean 'train_lr'"):
        plotted(lrs(), Plot("lr", "fd_digits"))
