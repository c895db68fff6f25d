"""Hostile studies at the command line: exit code 2, readable lines, nothing written anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dit_core.cli.app import main

THOUSAND = str(list(range(1000)))
BAD: dict[str, str] = {
    "alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "anchor in itself": "a: &a [*a]\n",
    "python tag": "a: !!python/object/apply:os.system ['touch canary']\n",
    "deep nesting": "[" * 2000,
    "large file": "# " + "x" * 1_000_001,
    "unknown key": "SMALLmodle: 1\n",
    "wrong type": "SMALLaxes: {train.lr: [fast]}\n",
    "leading zero": "SMALLaxes: {train.batch: [010]}\n",
    "duplicate key": "SMALLstudy: again\n",
    "key that is no word": "1: x\n",
    "not finite": "SMALLaxes: {train.lr: [1e400]}\n",
    "two documents": "SMALL---\nstudy: y\n",
    "empty": "",
    "a list": "- a\n",
    "tab": "SMALL\taxes: {}\n",
    "NUL": "SMALL# \x00\n",
    "bidirectional": "SMALL# \u202e\n",
    "homoglyph": "SMALL\u0430xes: {}\n",
    "name outside": "study: ../../x\nquestion: a\nbase: {}\n",
    "variable as a name": "study: ${HOME}\nquestion: a\nbase: {}\n",
    "extends itself": "SMALLextends: x.yaml\n",
    "extends outside": "SMALLextends: ../../../etc/passwd\n",
    "no run": "SMALLaxes: {model.size: []}\n",
    "too many": f"SMALLaxes: {{train.seed: {THOUSAND}, train.warmup_images: {THOUSAND}}}\n",
    "two axes, one field": "SMALLaxes: {model.patch: [1]}\nzip: [{model.patch: [1]}]\n",
    "points that cannot be": "SMALLaxes: {model.patch: [3, 5]}\n",
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_study_ends_in_exit_code_2_and_readable_lines(
    case: str,
    tmp_path: Path,
    small: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "x.yaml").write_text(BAD[case].replace("SMALL", small), encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setitem(os.environ, "HOME", str(folder))
    with pytest.raises(SystemExit) as left:
        main(["plan", "x.yaml", "--results", str(folder / "results")])
    said = capsys.readouterr()
    assert left.value.code == 2
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines
    assert all(line.startswith("error: x.yaml") for line in lines)
    assert all(line.isprintable() and len(line) < 2000 for line in lines)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "work",
        "work/x.yaml",
    ]


def test_a_good_study_is_planned(
    tmp_path: Path, small: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.yaml").write_text(small + "axes: {model.patch: [2, 4]}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["plan", "x.yaml"])
    assert left.value.code == 0
    assert "patch=2" in capsys.readouterr().out
