"""The frames, the data dictionary, and the pages that use them."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml
from synthetic_store import add_run, evaluations, fill, plan, sciences, unsynced

from analysis.tables import dictionary, load
from analysis.tables.columns import science_columns, tables
from dit_core.cli import app
from dit_core.errors import UserError
from dit_core.records.disk import fast_yaml
from dit_core.records.paths import Store
from dit_core.study.science import claim, ids

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    fill(Store(folder), 48, points=5, evals=20, study="digits")
    return folder


# Columns that only figures and claims have, beside those of the tables.
DERIVED = {"model", "sampling_gmacs", "table", "weights"}


def test_claims_select_by_columns_of_the_tables():
    types = {c.name: c.type for name in ("evals", "runs") for c in tables()[name]}
    assert set(claim.COLUMNS) - DERIVED <= set(types)
    assert set(claim.NUMERIC) <= set(claim.COLUMNS)
    numbers = {types[name] for name in claim.NUMERIC if name not in DERIVED}
    assert numbers == {"integer", "number"}


def test_dictionary_is_the_generated_one():
    page = (ROOT / "results" / "README.md").read_text()
    assert page == dictionary.text(), (
        "run: python -m analysis.tables.dictionary > results/README.md"
    )
    assert all(f"| `{c.name}` |" in page for columns in tables().values() for c in columns)


def test_every_column_has_a_meaning_and_science_is_complete():
    assert [c.name for cs in tables().values() for c in cs if not c.meaning] == []
    science = ids.canonical(next(sciences(1)))
    paths = {f"{half}_{field}" for half, group in science.items() for field in group}
    assert paths <= {c.name for c in science_columns()}


def test_frames_hold_what_was_written(root):
    frame = load.runs(root).set_index("run_id")
    assert len(frame) == 48
    for science in sciences(48):
        row = frame.loc[ids.run_id(science)]
        assert row["model_patch"] == row["patch"] == science.model.patch
        assert (row["model_size"], row["conditioning"]) == (
            science.model.size,
            science.model.conditioning,
        )
        assert (row["train_lr"], row["train_images"]) == (science.train.lr, science.train.images)
        assert (row["outcome"], row["attempts"], row["attempts_open"]) == ("DONE", 1, 0)
        assert pd.isna(row["train_clip"])
        assert (
            row["model_time_frequencies"] == "released"
        )  # a younger field that the record leaves out
    assert (
        list(tables()["runs"][i].name for i in range(57)) == list(frame.reset_index().columns)[:57]
    )
    assert load.runs(root).attrs["units"]["fwd_gmacs"] == "Gmacs"
    measured = load.evals(root)
    assert (measured["fd_digits_low"] < measured["fd_digits"]).all()
    assert {
        tuple(r) for r in measured[["images_seen", "steps", "guidance"]].itertuples(index=False)
    } == {(e.images_seen, e.sampling.steps, e.sampling.guidance) for e in evaluations(20)}


def test_one_curve(root):
    run = load.runs(root)["run_id"].iloc[7]
    curve = load.metrics(root, run=run)
    assert set(curve["run_id"]) == {run}
    assert list(curve["images"]) == [1280, 2560, 3840, 5120, 6400]


def test_missing_stays_missing_and_whole_numbers_whole(tmp_path):
    with unsynced():
        made = list(sciences(2))
        add_run(Store(tmp_path), made[0])
        add_run(Store(tmp_path), made[1], outcome=None)
    frame = load.runs(tmp_path)
    assert str(frame["images_seen"].dtype) == "Int64"
    assert frame["images_seen"].isna().sum() == 1
    assert frame["outcome"].isna().sum() == 1
    assert str(frame["params"].dtype) == "int64"


def test_a_study_sees_its_own_runs_names_and_evaluations(tmp_path):
    """Two studies share runs under other names and with other evaluations."""
    store = Store(tmp_path)
    fill(store, 4, points=2, evals=3, study=None)
    with unsynced():
        plan(store, "small", 2, 1)
        plan(store, "large", 6, 3)
    assert len(load.runs(tmp_path, "small")) == 2
    assert len(load.evals(tmp_path, "small")) == 2
    large = load.runs(tmp_path, "large")
    assert (len(large), large.attrs["planned_runs"], large.attrs["planned_evals"]) == (4, 6, 18)
    assert len(load.results(tmp_path, "large")) == 12
    assert sorted(set(load.runs(tmp_path)["study"])) == ["large", "large,small"]
    with pytest.raises(UserError, match="did you mean 'small'"):
        load.runs(tmp_path, "smal")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb:\n  c: x\n  d: 1.0e-05\n  e: null\nf: true\n",
        "a: '12e4567'\nb: 12e4567\nc: 1e-4\nd: 0o17\ne: 010\nf: no\ng: 12:30:45\nh: 2024-01-01\n",
        "a:\nb: 2\n",
        "a: x # note\nb: 'it''s'\n",
        "# head\na: {b: 1}\nc: [1, 2]\n",
        "a: |\n  text\n  b: 1\n",
        "a: one\n  two\nb: 3\n",
        "a: 1\na: 2\n",
        "a:\n    b: 1\n    c: 2\nd: 3\n",
        "a:\n  b: 1\n c: 2\n",
        "a: &x 1\nb: *x\n",
        'a: "\\u00e9"\nb: é\n',
        "- 1\n- 2\n",
        "a: -1\nb: -.inf\nc: .nan\nd: +5\ne: -\n",
        "a: 1\n---\nb: 2\n",
        "",
    ],
)
def test_fast_yaml_is_yaml(text):
    def outcome(load):
        try:
            return repr(load())
        except yaml.YAMLError:
            return "error"

    assert outcome(lambda: fast_yaml.parse(text.encode())) == outcome(lambda: yaml.safe_load(text))


def test_example_script_runs(root, monkeypatch, capsys):
    monkeypatch.setenv("DITLAB_RESULTS", str(root))
    runpy.run_path(str(ROOT / "docs" / "example_analysis.py"))
    out = capsys.readouterr().out
    assert "correlation of log Gmacs and log fd_digits over 48 evaluations: -0." in out


def _commands():
    page = (ROOT / "docs" / "query.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [
        line.partition("  #")[0]
        for block in blocks
        for line in block.splitlines()
        if line.startswith("ditlab")
    ]


@pytest.mark.slow
def test_commands_of_the_page_run(root, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("DITLAB_RESULTS", str(root))
    monkeypatch.chdir(tmp_path)
    assert len(_commands()) >= 9
    for command in _commands():
        with pytest.raises(SystemExit) as leaving:
            app.main(shlex.split(command)[1:])
        out = capfdbinary.readouterr()
        assert leaving.value.code in (0, None), (command, out.err)
        assert out.out, command
