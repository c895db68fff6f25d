"""The published tables: read with types, complete, and carrying the paper's own statistics."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from analysis.laws.correlation import correlate, difference
from analysis.laws.line import ols
from analysis.published import numbers as published
from analysis.published.columns import TABLES, data_dictionary
from dit_core.errors import UserError


def test_every_file_has_a_dictionary_and_the_page_is_generated_from_it():
    files = {p.stem for p in published.folder().glob("*.csv")}
    assert files == set(TABLES)
    assert (published.folder() / "README.md").read_text() == data_dictionary()


@pytest.mark.parametrize("name", list(TABLES))
def test_every_cell_survives_reading(name):
    frame = published.table(name)
    with open(published.folder() / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = 0
    assert len(frame) == len(rows)
    for column in TABLES[name].columns:
        for got, text in zip(frame[column.name], (r[column.name] for r in rows), strict=True):
            cells += 1
            if text in ("", "-"):
                assert got is None or got != got, (column.name, got)
            elif column.kind == "number":
                assert got == float(text)
            else:
                assert got == text
    print(f"{name}: {cells} of {cells} cells equal")


def test_unknown_table_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'dit_scaling'"):
        published.table("dit_scalin")


def test_the_papers_correlation_and_line():
    rows = published.scaling()
    x = np.log10(rows["fwd_gmacs"])
    y = rows["fid"]
    found = correlate(x, y, np.random.default_rng(0))
    line = ols(x, y)
    print(found.words(5), line)
    assert found.n == 12
    assert found.r == pytest.approx(-0.92985, abs=5e-6)
    assert (found.low, found.high) == (
        pytest.approx(-0.983, abs=0.003),
        pytest.approx(-0.73, abs=0.02),
    )
    assert (line.intercept, line.slope) == (
        pytest.approx(126.1452, abs=1e-4),
        pytest.approx(-54.2775, abs=1e-4),
    )
    rank = correlate(x, y, np.random.default_rng(0), method="spearman")
    assert rank.r == pytest.approx(-0.916, abs=5e-4)
    params = correlate(
        np.log10(published.table("dit_scaling")["params_M"][:12]), y, np.random.default_rng(0)
    )
    assert params.r == pytest.approx(-0.47086, abs=2e-4)


def test_gflops_predict_better_than_params():
    rows = published.scaling()
    gap = difference(
        np.log10(rows["fwd_gmacs"]), np.log10(rows["params"]), rows["fid"], np.random.default_rng(0)
    )
    assert gap.r == pytest.approx(0.459, abs=1e-3)
    assert gap.low > 0


def test_frames_have_the_columns_of_ones_own_results():
    for frame in (published.points(), published.curves(), published.sampling()):
        wanted = {
            "run_id",
            "name",
            "model_size",
            "patch",
            "conditioning",
            "fwd_gmacs",
            "images_seen",
            "steps",
            "fid",
        }
        assert wanted | {"protocol", "train_flops"} <= set(frame.columns)
        assert (
            frame["fwd_gmacs"].notna().sum() >= len(frame) - 3
        )  # two re-runs by the authors print no Gflops
    assert len(published.scaling()) == 12
    assert len(published.sampling()) == 72
    assert len(published.curves()) == 170
    xl2 = published.scaling().set_index("name").loc["DiT-XL/2"]
    assert xl2["train_flops"] == pytest.approx(6 * 118.64e9 * 400_000 * 256)
    assert (len(published.systems(256)), len(published.systems(512))) == (15, 9)
    assert len(published.data_hash()) == 64


def test_two_decoders_are_two_protocols():
    frame = published.points()
    at_7m = frame[(frame["images_seen"] == 7_000_000 * 256)]
    assert at_7m["protocol"].nunique() == 2
