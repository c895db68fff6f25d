"""`ditlab plan`: the bill before anything is spent, and wrong input answered in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def ditlab(
    *args: str, cwd: Path | None = None, columns: int = 80
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dit_core.cli.app", *args]
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120
    )


def test_the_digits_plan_names_every_run_and_its_cost(store):
    document = json.loads(ditlab("plan", str(ROOT / "studies/digits.yaml"), "--json").stdout)
    runs = document["runs"]
    assert len({r["run_id"] for r in runs}) == len(runs) == document["totals"]["runs"]
    assert {(r["model_size"], r["patch"]) for r in runs if r["conditioning"] == "adaln-zero"} >= {
        (size, patch) for size in ("XXXXS", "XXXS", "XXS") for patch in (4, 2, 1)
    }
    assert {r["conditioning"] for r in runs} == {
        "adaln-zero",
        "adaln",
        "cross-attention",
        "in-context",
    }
    for row in runs:
        assert row["train_flops"] == pytest.approx(6e9 * row["fwd_gmacs"] * row["images"])
        assert row["state"] == "new"
        assert row["params"] > 0
        assert row["memory_bytes"] > 16 * row["params"]
    assert document["totals"]["train_flops"] == pytest.approx(sum(r["train_flops"] for r in runs))
    assert not store.root.exists(), "a plan writes nothing"


def test_the_table_fits_a_terminal_of_80_columns(store):
    result = ditlab("plan", str(ROOT / "studies/digits.yaml"))
    assert max(map(len, result.stdout.splitlines())) <= 80
    document = json.loads(ditlab("plan", str(ROOT / "studies/digits.yaml"), "--json").stdout)
    assert all(r["run_id"] in result.stdout for r in document["runs"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["pln"], ["unknown command 'pln'", "did you mean 'plan'"]),
        (["plan", "studies/digit.yaml"], ["digit.yaml"]),
        (["run", "nothing.yaml"], ["nothing.yaml"]),
    ],
)
def test_wrong_words_are_answered_in_a_line_with_exit_code_2(
    args: list[str], words: list[str], store
):
    result = ditlab(*args, cwd=ROOT)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_help_lists_every_command_and_needs_no_heavy_library():
    from dit_core.cli.app import COMMANDS

    text = ditlab("--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"  {name} " in text for name in COMMANDS)
    heavy = "{'typer', 'pydantic', 'torch'}"
    shown = "from dit_core.cli.app import _help; _help()"
    code = f"import sys; {shown}; print({heavy} & set(sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
        ).stdout
        == "set()\n"
    )


def test_help_begins_with_the_everyday_commands():
    first, second, *_ = ditlab("--help").stdout.split(":\n")[1:]
    names = re.findall(r"^  (\S+)", first, re.MULTILINE)
    assert names == ["plan", "run", "status", "query", "figures", "claims", "report"]
    assert "  submit " in second


@pytest.mark.parametrize("words", [[], ["plan"], ["export-weights"]])
def test_h_is_help_everywhere(words: list[str]):
    short = ditlab(*words, "-h")
    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == ditlab(*words, "--help").stdout


def test_every_command_of_the_table_exists_and_has_help():
    import importlib

    from dit_core.cli.app import COMMANDS

    for name, (module, function, text) in COMMANDS.items():
        assert callable(getattr(importlib.import_module(module), function)), name
        assert text.endswith(".")


def test_an_edited_study_still_knows_its_runs(store, tmp_path: Path):
    study = tmp_path / "a.yaml"
    study.write_text(
        "study: a\nquestion: q\nbase: {model: {size: XXXS, patch: 4}, train: {duration: 5 steps}}\n"
        "axes: {train.lr: [1e-3, 2e-3], train.seed: [0, 1]}\n"
    )
    first = json.loads(ditlab("plan", str(study), "--json").stdout)
    study.write_text(
        "study: a\nquestion: q\nbase: {model: {size: XXXS, patch: 4}, train: {duration: 5 steps}}\n"
        "axes: {train.seed: [1, 0], train.lr: [0.002, 0.0010]}\n"
    )
    second = json.loads(ditlab("plan", str(study), "--json").stdout)
    assert {r["run_id"] for r in first["runs"]} == {r["run_id"] for r in second["runs"]}


@pytest.mark.slow
def test_an_edit_of_a_study_that_has_run_is_shown_and_deletes_nothing(store, tmp_path: Path):
    text = (
        "study: a\nquestion: q\nbase: {model: {size: XXXS, patch: 4}, train: {duration: 4 steps, "
        "batch: 8}}\n"
        "axes: {train.seed: [0, 1]}\n"
    )
    study = tmp_path / "a.yaml"
    study.write_text(text)
    assert ditlab("run", str(study)).returncode == 0
    records = sorted(store.runs.rglob("outcome.json"))
    study.write_text(text.replace("[0, 1]", "[1, 2]"))
    shown = ditlab("plan", str(study)).stdout
    assert "edited since it last ran: 1 kept, 1 added, 1 orphaned (nothing is deleted)" in shown
    assert "+ seed=2" in shown
    assert "- seed=0" in shown
    assert sorted(store.runs.rglob("outcome.json")) == records


@pytest.mark.slow
def test_a_calibrated_machine_predicts_the_time(store):
    from dit_core.bench.device import device_name
    from dit_core.records.disk.files import write_json

    entry = {
        "device": device_name(),
        "workers": 1,
        "threads": 1,
        "step": {"loop": 0.01},
        "sampling": {"loop": 0.0},
        "start_s": 3.0,
        "run_s": 0.0,
        "evaluation_s": 0.0,
        "sample_s": 0.0,
    }
    study = str(ROOT / "studies/digits.yaml")
    before = json.loads(ditlab("plan", study, "--json").stdout)
    assert before["totals"]["predicted_wall_s"] is None
    write_json(
        store.root / "bench" / "calibration.json", {"schema": 1, "devices": {device_name(): entry}}
    )
    after = json.loads(ditlab("plan", study, "--json").stdout)
    assert [r["predicted_s"] for r in after["runs"]] == pytest.approx([40.0] * len(after["runs"]))
    assert after["totals"]["predicted_wall_s"] == pytest.approx(3.0 + 40.0 * len(after["runs"]))
    assert "about 10.7 minutes on this machine" in ditlab("plan", study).stdout


@pytest.mark.slow
def test_the_plan_keeps_what_it_predicted_and_the_tables_show_it_beside_what_was_used(
    store, tmp_path: Path
):
    """A later start without the calibration keeps the prediction, as long as the same evaluations
    are asked for.
    """
    from analysis.tables import load
    from dit_core.bench.device import device_name
    from dit_core.records.disk.files import write_json

    entry = {
        "device": device_name(),
        "workers": 1,
        "threads": 1,
        "step": {"loop": 9.0},
        "sampling": {"loop": 0.0},
        "start_s": 3.0,
        "run_s": 0.0,
        "evaluation_s": 7.2,
        "sample_s": 0.0,
    }
    calibration = store.root / "bench" / "calibration.json"
    write_json(calibration, {"schema": 1, "devices": {device_name(): entry}})
    study = tmp_path / "a.yaml"
    base = "base: {model: {size: XXXS, patch: 4}, train: {duration: 4 steps, batch: 8}}"
    rest = "evaluate: [{protocol: digits, sampler: ddim, steps: 1, samples: 100}]"
    study.write_text(f"study: a\nquestion: q\n{base}\n{rest}\n")
    assert ditlab("run", str(study)).returncode == 0
    calibration.unlink()
    assert ditlab("run", str(study)).returncode == 0
    row = load.runs(store.root, "a").iloc[0]
    assert row["predicted_hours"] == pytest.approx(4 * 9.0 / 3600)
    assert (row["planned_evals"], row["predicted_eval_hours"]) == (1, pytest.approx(7.2 / 3600))
    assert 0 < row["device_hours"] < row["predicted_hours"]
    assert list(load.attempts(store.root)["processes"]) == [1]


@pytest.mark.slow
def test_stages_of_every_run_add_up_and_too_many_are_refused_in_a_line(store):
    study = str(ROOT / "studies/paper-conditioning.yaml")
    document = json.loads(ditlab("plan", study, "--stages", "4", "--json").stdout)
    costs = {
        r["run_id"]: (r["params"], r["fwd_gmacs"])
        for r in json.loads(ditlab("plan", study, "--json").stdout)["runs"]
    }
    assert {row["run_id"] for row in document["runs"]} == set(costs)
    for row in document["runs"]:
        params, gmacs = costs[row["run_id"]]
        assert len(row["stages"]) == 4
        assert sum(s["params"] for s in row["stages"]) == params
        assert sum(s["macs"] for s in row["stages"]) / 1e9 == gmacs
    refused = ditlab("plan", study, "--stages", "29")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--stages 29: a model of 28 blocks has 1 to 28 stages" in refused.stderr
    assert refused.stderr.count("\n") == 1
