"""A study is named by its YAML file or by its name in the results, alike in every command."""

from __future__ import annotations

import html
import inspect
import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from dit_core.cli import app
from dit_core.cli.app import COMMANDS
from dit_core.records.plan import write_plan
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study

STUDY = """\
study: little
question: Does it have a name?
base: {model: {size: XXXS, patch: 8}, train: {duration: 2 steps, batch: 8}}
evaluate: [{protocol: digits, sampler: ddim, steps: 2, samples: 100}]
execution: {threads: 1, device: cpu}
"""


@pytest.fixture
def ditlab(capsys):
    """Run `ditlab …` in this process and return (exit code, standard output, standard error)."""

    def call(*words: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as leaving:
            app.main([str(word) for word in words])
        return leaving.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a small study."""
    path = tmp_path / "file.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def planned(store, file: Path) -> Path:
    """Keep that study in the results, as a first start does, and return its file."""
    study = load_study(file)
    write_plan(store, study.name, study.text, expand(study).runs)
    return file


def commands_on_a_study() -> list[str]:
    """Return the commands whose first argument is a study."""
    found = []
    for name, (module, function, _) in COMMANDS.items():
        arguments = inspect.signature(getattr(import_module(module), function)).parameters
        if next(iter(arguments)) == "study":
            found.append(name)
    return found


@pytest.mark.parametrize("command", commands_on_a_study())
def test_a_word_that_is_neither_gets_one_line_with_the_nearest(command, ditlab, planned, tmp_path):
    more = {
        "compare": ["--by", "model.patch"],
        "plot": ["--x", "train_lr"],
        "submit": ["-c", "lab"],
        "cancel": ["--all"],
        "export": ["--tensorboard", str(tmp_path / "board")],
    }.get(command, [])
    code, out, err = ditlab(command, "litle", *more)
    assert (code, out) == (2, "")
    assert "'litle' is neither a YAML file nor a study in " in err
    assert "did you mean 'little'?; studies there: little" in err
    assert err.count("\n") == 1


def test_there_are_many_such_commands():
    everyday = {"plan", "run", "status", "figures", "claims", "report", "submit"}
    assert everyday < set(commands_on_a_study())


def test_the_nearest_may_be_a_file_that_never_ran(ditlab, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/little.yaml").write_text(STUDY)
    _, _, err = ditlab("plan", "little")
    assert "did you mean 'studies/little.yaml'?; studies there: none" in err


@pytest.mark.parametrize("command", ["plan", "status", "why"])
def test_a_name_and_a_file_give_the_same(command, ditlab, planned):
    by_name = ditlab(command, "little", "--json")
    assert by_name == ditlab(command, planned, "--json")
    assert json.loads(by_name[1])


def test_a_study_that_extends_another_reads_back_by_name(ditlab, store, file, tmp_path):
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: file.yaml\nstudy: child\nquestion: q\naxes: {train.lr: [1e-4, 2e-4]}\n"
    )
    study = load_study(child)
    write_plan(store, study.name, study.text, expand(study).runs)
    by_file = ditlab("plan", child, "--json")
    file.unlink()
    assert ditlab("plan", "child", "--json") == by_file
    assert len(json.loads(by_file[1])["runs"]) == 2


def test_a_folder_of_the_same_name_does_not_hide_the_study(ditlab, planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "little").mkdir()
    assert ditlab("plan", "little", "--json")[0] == 0


@pytest.mark.slow
def test_the_commands_that_the_report_prints_work(ditlab, store, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ditlab("run", file, "--workers", "1")[0] == 0
    file.unlink()  # the study kept with the results is enough
    assert ditlab("report", "little")[0] == 0
    page = (store.study("little") / "report" / "index.html").read_text()
    how = page[page.index('id="h-how"') :]
    printed = [html.unescape(line) for line in re.findall(r"ditlab [^<;\n]*", how)]
    assert [line.split()[1] for line in printed[:5]] == [
        "plan",
        "run",
        "figures",
        "claims",
        "report",
    ]
    for line in printed[:5]:
        _, *words = shlex.split(line)
        code, _, err = ditlab(*words)
        wanted = 2 if "claims" in words else 0  # this study states none, and the command says so
        assert code == wanted, (line, err)
