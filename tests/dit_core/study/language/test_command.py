"""Hostile studies at the command line: exit code 2, one readable line each, no traceback, nothing
written anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dit_core.cli.app import main

BAD: dict[str, str] = {
    "1 alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "2 anchor in itself": "a: &a [*a]\n",
    "3 python tag": "a: !!python/object/apply:os.system ['touch canary']\n",
    "4 deep nesting": "[" * 2000,
    "5 large file": "# " + "x" * 1_000_001,
    "6 unknown key": "SMALLmodle: 1\n",
    "7 wrong type": "SMALLaxes: {train.lr: [fast]}\n",
    "9 leading zero": "SMALLaxes: {train.batch: [010]}\n",
    "10 duplicate key": "SMALLstudy: again\n",
    "11 key that is no word": "1: x\n",
    "12 not finite": "SMALLaxes: {train.lr: [1e400]}\n",
    "13 two documents": "SMALL---\nstudy: y\n",
    "13 empty": "",
    "13 a list": "- a\n",
    "14 tab": "SMALL\taxes: {}\n",
    "14 NUL": "SMALL# \x00\n",
    "15 bidirectional": "SMALL# \u202e\n",
    "15 homoglyph": "SMALL\u0430xes: {}\n",
    "16 name outside": "study: ../../x\nquestion: a\nbase: {}\n",
    "17 variable as a name": "study: ${HOME}\nquestion: a\nbase: {}\n",
    "18 extends itself": "SMALLextends: x.yaml\n",
    "18 extends outside": "SMALLextends: ../../../etc/passwd\n",
    "19 no run": "SMALLaxes: {model.size: []}\n",
    "20 too many": f"SMALLaxes: {{train.seed: {list(range(1000))}, train.warmup_images: {list(range(1000))}}}\n",
    "25 two axes, one field": "SMALLaxes: {model.patch: [1]}\nzip: [{model.patch: [1]}]\n",
    "26 points that cannot be": "SMALLaxes: {model.patch: [3, 5]}\n",
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
