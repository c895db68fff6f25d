"""`ditlab diff` and `ditlab compare`: what differs, and what is more than noise."""

from __future__ import annotations

import json

import numpy as np
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
                "seed": seed,
                "run_id": f"{design}{seed}",
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
        ({"adaln-zero": 10.0, "adaln": 20.0}, 1, 0.5, 0.0, "apart"),
        ({"adaln-zero": 10.0, "adaln": 11.0}, 1, 0.1, 0.0, "within noise"),
        ({"adaln-zero": 10.0, "adaln": 20.0}, 3, 1.0, 0.1, "apart"),
        ({"adaln-zero": 10.0, "adaln": 20.0}, 3, 0.1, 8.0, "within noise"),
    ],
    ids=[
        "beyond the prior",
        "records apart, one seed",
        "beyond the spread of seeds",
        "within the spread of seeds",
    ],
)
def test_verdicts(values, seeds, half, spread, verdict):
    found = compare(made(values, seeds, half, spread), "model.conditioning", "fd")
    assert [r["verdict"] for r in found.rows] == [None, verdict]
    assert found.rows[1]["difference"] == pytest.approx(found.rows[1]["fd"] - found.rows[0]["fd"])
    apart = found.rows[1]["difference_low"] > 0
    assert apart == (verdict == "apart")
    assert found.prior == (seeds == 1)
    assert [r["model_conditioning"] for r in found.rows] == ["adaln-zero", "adaln"]
    assert [r["n"] for r in found.rows] == [seeds, seeds]


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_equal_designs_are_rarely_apart(seeds):
    """One seed called them apart in 62 %, two or three in 13 %."""
    rng = np.random.default_rng(seeds)
    one = made({"adaln-zero": 10.0, "adaln": 10.0}, seeds)
    frame = pd.concat(
        [one.assign(model_patch=i, run_id=one["run_id"] + str(i)) for i in range(100)],
        ignore_index=True,
    )
    values = 10 * np.exp(0.05 * rng.standard_normal(len(frame)))
    frame = frame.assign(fd=values, fd_low=values * 0.99, fd_high=values * 1.01)
    found = compare(frame, "conditioning", "fd").rows[1::2]
    apart = sum(row["verdict"] == "apart" for row in found)
    assert apart / 100 <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5


def test_sampling_settings_are_compared_on_the_trainings_that_have_them_all():
    """30 steps passed for better than 15 by 0.40; on the run that has both they are worse."""
    fifteen = made({"adaln-zero": 18.0}, seeds=2, spread=1.0).assign(steps=15)
    thirty = made({"adaln-zero": 18.25}, seeds=1).assign(steps=30)
    rows = compare(pd.concat([fifteen, thirty], ignore_index=True), "steps", "fd").rows
    assert [r["n"] for r in rows] == [1, 1]
    assert rows[1]["difference"] == pytest.approx(0.25)


def test_a_missing_interval_leaves_the_noise_of_trainings():
    frame = made({"adaln-zero": 10.0, "adaln": 20.0})
    frame["fd_low"] = float("nan")
    assert compare(frame, "conditioning", "fd").rows[1]["verdict"] == "apart"


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
    assert "noise of fd_digits between trainings: 9 % (prior: 0.09 of the value" in out


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
    assert {r["verdict"] for r in document["results"]} <= {"apart", "within noise"}
    assert {r["noise_source"].split(":")[0] for r in document["results"]} == {"prior"}
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
