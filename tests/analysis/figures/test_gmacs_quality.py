"""Forward Gflops against quality: what is drawn, what is counted, what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from study_frames import own_runs

from analysis.figures import style
from analysis.figures.paper.gmacs_quality import correlation_of, gmacs_quality, panel, whiskers
from analysis.published import numbers as published
from analysis.select.points import average_seeds, final_points
from dit_core.errors import UserError


def texts(fig) -> str:
    fig.canvas.draw()
    return "\n".join(t.get_text() for t in fig.findobj(lambda a: hasattr(a, "get_text")))


def test_published_figure_8_says_the_papers_numbers():
    words = texts(gmacs_quality(published.scaling(), "fid", beside_paper=False))
    assert "r = −0.93 (n = 12 models)" in words
    assert "FID = 126.15 − 54.28 log₁₀ G" in words
    assert all(f"{s}/{p}" in words for s in ("S", "B", "L", "XL") for p in (2, 4, 8))


def test_demo_figure_shows_own_runs_and_the_paper():
    words = texts(gmacs_quality(own_runs()))
    assert "18 of 18 runs" in words
    assert "(n = 9 models)" in words
    assert "−0.93" in words
    assert "50 steps" in words


def test_seeds_do_not_pass_for_models_and_setting_is_one():
    points = final_points(own_runs(), "fd_digits")
    assert points.shown == 18
    assert set(points.frame["steps"]) == {50}
    assert correlation_of(points).n == 9


@pytest.mark.slow
def test_the_footer_says_what_the_whiskers_are():
    def said(frame: pd.DataFrame) -> str:
        return whiskers(average_seeds(final_points(frame, "fd_digits").frame, "fd_digits"))

    two = own_runs()
    one = own_runs(1).drop(columns=["fd_digits_low", "fd_digits_high"], errors="ignore")
    measured = one.assign(fd_digits_low=one["fd_digits"] - 1, fd_digits_high=one["fd_digits"] + 1)
    more = (
        measured[measured["model_size"] == "XS"]
        .assign(seed=1)
        .assign(run_id=lambda rows: rows["run_id"] + "again")
    )
    more["fd_digits"] += 2
    assert said(two) == "Whiskers: 95 % interval between trainings, by 9 repeats of this study."
    assert said(one) == ""
    alone = "Whiskers: 95 % interval between trainings, by a prior: nothing is repeated."
    assert said(measured) == alone
    both = said(pd.concat([measured, more]))
    assert both == "Whiskers: 95 % interval between trainings, by 3 repeats of this study."
    assert both in texts(gmacs_quality(pd.concat([measured, more]))).replace("\n", " ")
    assert "Whiskers" not in texts(gmacs_quality(published.scaling(), "fid", beside_paper=False))


def test_missing_runs_are_counted_and_never_zero():
    frame = own_runs(1)
    frame.loc[frame["run_id"] == "XS10", "fd_digits"] = np.nan
    points = final_points(frame, "fd_digits")
    assert (points.shown, points.of) == (8, 9)
    assert points.frame["fd_digits"].min() > 0
    assert "8 of 9 runs" in texts(gmacs_quality(frame))


def test_two_protocols_are_refused_unless_mixed():
    frame = own_runs(1)
    frame.loc[:3, "protocol"] = "digits-v2"
    with pytest.raises(UserError, match=r"digits, digits-v2.*--mix"):
        gmacs_quality(frame)
    assert "digits, digits-v2" in texts(gmacs_quality(frame, mix=True))


def test_missing_metric_says_what_there_is():
    with pytest.raises(
        UserError,
        match=r"'fdd_digits', did you mean 'fd_digits'\?; metrics in the records: fd_digits",
    ):
        gmacs_quality(own_runs(1), "fdd_digits")


def test_one_and_two_runs_are_drawn_without_a_number():
    for runs in (1, 2):
        frame = own_runs(1)
        frame = frame[frame["run_id"].isin(frame["run_id"].unique()[:runs])]
        assert f"too few points ({runs} < 3)" in texts(gmacs_quality(frame))


def test_other_designs_stay_out_and_are_named():
    frame = own_runs(1)
    other = frame[frame["run_id"] == "XS20"].assign(
        run_id="other", conditioning="in-context", fd_digits=500.0
    )
    words = texts(gmacs_quality(pd.concat([frame, other])))
    assert "9 of 10 runs; 1 with another conditioning not drawn" in words


@pytest.mark.slow
def test_files_are_byte_identical(tmp_path):
    names = []
    for folder in ("a", "b"):
        frame = own_runs(1)
        names.append(style.save(gmacs_quality(frame), tmp_path / folder / "demo"))
    for first, second in zip(*names, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


@pytest.mark.parametrize("turned", [False, True])
def test_the_words_of_a_panel_cover_no_point(turned: bool):
    rows = own_runs(1)
    rows["fd_digits"] = 300 - rows["fd_digits"] if turned else rows["fd_digits"]
    points = final_points(rows.drop(columns=["fd_digits_low", "fd_digits_high"]), "fd_digits")
    fig, ax = style.new_figure(width=3.6, height=3.7)
    panel(ax, points)
    fig.draw_without_rendering()
    (words,) = ax.texts
    box = words.get_window_extent()
    at = ax.transData.transform(points.frame[["fwd_gmacs", "fd_digits"]].to_numpy(float))
    assert not any(box.contains(x, y) for x, y in at)
    style.close(fig)


@pytest.mark.parametrize("width", [1.0, 1.4, 3.0, 50.0])
def test_ticks_of_models_of_nearly_equal_compute_do_not_overlap(width: float):
    fig, ax = style.new_figure(width=3.6, height=3.7)
    style.log_axis(ax.xaxis, [0.0033, 0.0033 * width])
    fig.draw_without_rendering()
    low, high = ax.get_xlim()
    shown = [
        t.get_window_extent() for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high
    ]
    assert len(shown) >= 2
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(shown))
    style.close(fig)


def test_labels_lie_on_no_whisker():
    rows = own_runs(1)
    rows["fd_digits_low"], rows["fd_digits_high"] = rows["fd_digits"] - 8, rows["fd_digits"] + 8
    fig = gmacs_quality(rows, beside_paper=False)
    (ax,) = fig.axes
    labels = [t.get_window_extent() for t in ax.texts if "/" in t.get_text()]
    shown = final_points(rows, "fd_digits").frame
    assert len(labels) == len(shown) == 9
    for _, row in shown.iterrows():
        (x, low), (_, high) = ax.transData.transform(
            [(row["fwd_gmacs"], row[f"fd_digits_{e}"]) for e in ("low", "high")]
        )
        assert not any(box.x0 < x < box.x1 and box.y0 < high and box.y1 > low for box in labels)
    style.close(fig)
