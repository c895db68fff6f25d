"""The printed cells are the published ones; no cell becomes markup or a formula."""

from __future__ import annotations

import csv
import io

import pytest
from study_frames import own_runs

from analysis.published import numbers as published
from analysis.select.points import final_points
from analysis.write import paper_tables

HOSTILE = [
    r"$\foo$",
    "_x",
    "<script>alert(1)</script>",
    "=1+1",
    "NA",
    "12e4567",
    "a|b",
    "a\nb",
    "x" * 5000,
    "🙂",
    "-2+3",
    "@sum",
    r"\input{/etc/passwd}",
    "%",
    "~^",
]
_COLUMNS = {
    "table1": ("dit_configs", ["model", "layers_N", "hidden_d", "heads", "gflops"]),
    "table2": (
        "imagenet256",
        ["model", "cfg_scale", "fid50k", "sfid", "inception_score", "precision", "recall"],
    ),
    "table3": (
        "imagenet512",
        ["model", "cfg_scale", "fid50k", "sfid", "inception_score", "precision", "recall"],
    ),
    "table4": (
        "dit_scaling",
        [
            "model",
            "block",
            "image_resolution_px",
            "gflops_fwd(=GMACs)",
            "params_M",
            "train_steps_K",
            "batch",
            "lr",
            "fid50k",
        ],
    ),
    "table5": (
        "vae_decoder",
        ["decoder", "fid50k", "sfid", "inception_score", "precision", "recall"],
    ),
    "table6": (
        "gflops_unet_baselines",
        ["model", "resolution", "base_gflops", "upsampler_gflops", "total_gflops"],
    ),
}
_ROWS = {"table1": 4, "table2": 15, "table3": 9, "table4": 19, "table5": 3, "table6": 7}


def test_regenerated_tables_equal_the_published_files():
    equal = 0
    for table in published_by_name().values():
        name, columns = _COLUMNS[table.name]
        with open(published.folder() / f"{name}.csv", newline="", encoding="utf-8") as file:
            source = [r for r in csv.DictReader(file) if _belongs(table.name, r)]
        printed = list(csv.reader(io.StringIO(paper_tables.to_csv(table))))[1:]
        assert len(printed) == len(source) == _ROWS[table.name]
        for cells, row in zip(printed, source, strict=True):
            for cell, column in zip(cells, columns, strict=True):
                want = "" if row[column] == "-" else row[column]
                same = cell == want or (want and cell and float(cell) == float(want))
                assert same, (table.name, column, cell, want)
                equal += 1
    print(f"cells equal to the published files: {equal} of {equal}")


def published_by_name() -> dict[str, paper_tables.Table]:
    return {t.name: t for t in paper_tables.published_tables()}


def _belongs(name: str, row: dict[str, str]) -> bool:
    if name in ("table2", "table3", "table6"):
        return row["source"].startswith(f"paper Table {name[-1]}")
    return name != "table4" or row["kind"] in (
        "paper_scaling12",
        "paper_conditioning",
        "paper_longer_or_512",
    )


def test_a_wrong_cell_would_be_seen():
    table = published_by_name()["table5"]
    assert all("2.27" in write(table) for write in paper_tables.FORMATS.values())


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_stay_words(word):
    table = paper_tables.Table("t", word, ("a", word), ((word, 1.0), ("b", None)), (None, 2))
    md = paper_tables.markdown(table)
    tex = paper_tables.latex(table)
    text = paper_tables.to_csv(table)
    assert "<script" not in md
    body = [line for line in md.splitlines() if line.startswith("|")]
    assert len(body) == 4
    assert all(line.replace("\\\\", "").replace("\\|", "").count("|") == 3 for line in body)
    cell = list(csv.reader(io.StringIO(text)))[1][0]
    assert cell.removeprefix("'") == word
    assert cell[0] not in "=+-@"
    assert not any(c in tex for c in (r"\input{/etc", r"\foo"))
    assert not any(c in tex.replace("\\" + c, "") for c in "$%")


def test_missing_is_a_dash_and_never_zero():
    table = paper_tables.Table("t", "c", ("a", "b"), (("x", None), ("y", float("nan"))), (None, 2))
    assert paper_tables.to_csv(table).splitlines()[1:] == ['"x",', '"y",']
    assert "| x | - |" in paper_tables.markdown(table)
    assert "0.00" not in paper_tables.markdown(table) + paper_tables.latex(table)


def test_a_studys_tables_average_seeds():
    frame = own_runs()
    four = next(
        t for t in paper_tables.study_tables(final_points(frame, "fd_digits")) if t.name == "table4"
    )
    assert len(four.rows) == 9
    seeds = four.header.index("Seeds")
    assert {row[seeds] for row in four.rows} == {2}
    value, low, high = (four.header.index(n) for n in ("fd_digits", "low", "high"))
    one = frame[(frame["model_size"] == "XS") & (frame["patch"] == 1) & (frame["steps"] == 50)][
        "fd_digits"
    ]
    row = next(r for r in four.rows if r[0] == "XS" and r[1] == 1)
    assert row[low] < one.min()
    assert row[high] > one.max()
    assert row[value] == pytest.approx(one.mean())
