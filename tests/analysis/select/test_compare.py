"""`ditlab diff` and `ditlab compare`: what differs, and what is more than noise."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from command_line import answer
from synthetic_store import fill

from analysis.select.compare import compare
from analysis.tables import load
from dit_core.errors import UserError
from dit_core.records.paths import Store


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    fill(Store(folder), 20, points=2, evals=2)
    return folder


def made(values, seeds=1, half=1.0, spread=0.0):
    """Return a frame of results: one design per value, `seeds` repeats `spread` apart."""
    base = load.results("/nothing/there")
    rows = [
        {
            **dict.fromkeys(base.columns),
            **{
                "conditioning": design,
                "model_conditioning": design,
                "model_patch": 2,
                "steps": 10,
                "train_seed": seed,
            },
            **{"images_seen": 100, "protocol": "p", "fd": value + spread * seed},
            **{"fd_low": value + spread * seed - half, "fd_high": value + spread * seed + half},
        }
        for design, value in values.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("values", "seeds", "half", "spread", "verdict"),
    [
        ({"adaln-zero": 10.0, "adaln": 20.0}, 1, 1.0, 0.0, "apart"),
        ({"adaln-zero": 10.0, "adaln": 11.0}, 1, 1.0, 0.0, "within noise"),
        ({"adaln-zero": 10.0, "adaln": 20.0}, 3, 1.0, 0.1, "apart"),
        ({"adaln-zero": 10.0, "adaln": 20.0}, 3, 0.1, 8.0, "within noise"),
    ],
    ids=[
        "intervals apart",
        "intervals touch",
        "beyond the spread of seeds",
        "within the spread of seeds",
    ],
)
def test_verdicts(values, seeds, half, spread, verdict):
    found = compare(made(values, seeds, half, spread), "model.conditioning", "fd")
    assert [r["verdict"] for r in found.rows] == [None, verdict]
    assert found.rows[1]["difference"] == pytest.approx(values["adaln"] - values["adaln-zero"])
    assert (found.floor is None) == (seeds == 1)
    assert [r["model_conditioning"] for r in found.rows] == ["adaln-zero", "adaln"]
    assert [r["n"] for r in found.rows] == [seeds, seeds]


def test_noise_floor_is_twice_the_spread_over_seeds():
    found = compare(
        made({"adaln-zero": 10.0, "adaln": 20.0}, seeds=3, spread=2.0), "conditioning", "fd"
    )
    assert found.floor == pytest.approx(2 * 2.0)
    assert found.repeats == 4


def test_each_training_point_has_a_noise_floor_of_its_own(capsys):
    """Early points are noisier than the end; theirs must not hide a difference there."""
    late = made({"adaln-zero": 10.0, "adaln": 20.0}, seeds=3, spread=0.1)
    early = made({"adaln-zero": 110.0, "adaln": 120.0}, seeds=3, spread=30.0).assign(images_seen=25)
    lone = made({"adaln-zero": 50.0, "adaln": 60.0}).assign(images_seen=50)
    rows = compare(pd.concat([early, lone, late], ignore_index=True), "conditioning", "fd").rows
    assert [r["images_seen"] for r in rows] == [25, 25, 50, 50, 100, 100]
    assert [r["verdict"] for r in rows[1::2]] == ["within noise", "within noise", "apart"]
    pooled = 2 * (4 * (30.0**2 + 0.1**2) / 8) ** 0.5
    assert [r["noise_floor"] for r in rows[::2]] == pytest.approx([60.0, pooled, 0.2])


def test_missing_interval_is_unknown():
    frame = made({"adaln-zero": 10.0, "adaln": 20.0})
    frame["fd_low"] = float("nan")
    assert compare(frame, "conditioning", "fd").rows[1]["verdict"] == "unknown"


def test_only_what_differs_in_one_column_stands_side_by_side():
    frame = made({"adaln-zero": 10.0, "adaln": 20.0, "in-context": 5.0})
    frame.loc[2, "model_patch"] = 4
    found = compare(frame, "conditioning", "fd")
    assert [r["conditioning"] for r in found.rows] == ["adaln-zero", "adaln"]
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("by", "metric", "words"),
    [
        ("model.condition", None, "did you mean 'model_conditioning'"),
        ("model.patch", None, "single value"),
        ("conditioning", "df", "did you mean 'fd'"),
    ],
)
def test_mistakes_are_explained(by, metric, words):
    with pytest.raises(UserError, match=words):
        compare(made({"adaln-zero": 1.0, "adaln": 2.0}), by, metric)


def test_compare_command(root, capsys):
    code, out, _ = answer(
        capsys, "compare", "made", "--by", "model.conditioning", "--results", str(root), "--json"
    )
    document = json.loads(out)
    assert code in (0, None)
    assert document["metric"] == "fd_digits"
    assert {
        r["conditioning"] if "conditioning" in r else r["model_conditioning"]
        for r in document["rows"]
    } >= {"adaln"}
    assert len(document["rows"]) == 20 * 2
    code, out, _ = answer(capsys, "compare", "made", "--by", "model.patch", "--results", str(root))
    assert "noise floor of fd_digits: unknown (no repeats over seeds)" in out


def test_diff_command(root, capsys):
    frame = load.runs(root).sort_values(["model_size", "model_patch", "conditioning"])
    a = frame["run_id"].iloc[0]
    b = frame["run_id"].iloc[1]
    code, out, _ = answer(capsys, "diff", a[:7], b, "--results", str(root), "--json")
    document = json.loads(out)
    assert code in (0, None)
    assert (document["a"], document["b"]) == (a, b)
    assert list(document["science"]) == ["model.conditioning"]
    assert {r["metric"] for r in document["results"]} == {"accuracy", "fd_digits"}
    name = frame["name"].iloc[1]
    assert (
        json.loads(answer(capsys, "diff", a, f"made/{name}", "--results", str(root), "--json")[1])[
            "b"
        ]
        == b
    )
    code, out, _ = answer(capsys, "diff", a, b, "--results", str(root))
    assert "model.conditioning" in out
    code, _, err = answer(
        capsys, "diff", a, "size=XXXS,patch=1,conditioning=adln,seed=0", "--results", str(root)
    )
    assert code == 2
    assert "did you mean" in err


def test_a_narrow_terminal_keeps_the_verdict(capsys, monkeypatch, root):
    monkeypatch.setattr("analysis.write.terminal.terminal_width", lambda: 72)
    code, out, _ = answer(
        capsys, "compare", "made", "--by", "model.conditioning", "--results", str(root)
    )
    assert code == 0
    table, below = out.split("not shown")
    header = table.splitlines()[0].split()
    assert {"model_conditioning", "fd_digits", "difference", "verdict"} <= set(header)
    assert max(map(len, table.splitlines())) <= 72
    assert "low, high" in below
    assert "--columns" not in below
