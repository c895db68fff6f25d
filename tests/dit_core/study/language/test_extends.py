"""A study that extends another file: what it takes over, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dit_core.errors import StudyError
from dit_core.study.grid.expand import expand
from dit_core.study.language.spec import load_study


def test_extends_takes_over_what_is_not_given(write: Callable[..., Path], small: str) -> None:
    write(small + "axes: {model.size: [XS, S]}\nevaluate: {steps: 5}\n", "parents/base.yaml")
    path = write(
        "extends: parents/base.yaml\nstudy: child\nquestion: Why?\nbase: {train: {batch: 32}}\n"
    )
    loaded = load_study(path)
    assert (loaded.name, loaded.question) == ("child", "Why?")
    assert loaded.base["train.batch"] == 32
    assert loaded.base["model.patch"] == 2
    assert loaded.axes.values == {"model.size": ("XS", "S")}
    assert [p.name for p in loaded.parents] == ["base.yaml"]
    assert {run.science.train.images for run in expand(loaded).runs} == {3200}


def test_a_problem_in_an_extended_file_names_that_file(
    write: Callable[..., Path], small: str
) -> None:
    write(small.replace("size: XS", "size: XY"), "base.yaml")
    with pytest.raises(StudyError, match=r"base\.yaml:4: model\.size: given 'XY', did you mean"):
        load_study(write("extends: base.yaml\nstudy: child\nquestion: Why?\n"))


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("x.yaml", "extends itself in a loop"),
        ("other.yaml", "extends itself in a loop"),
        ("missing.yaml", "no file 'missing.yaml'"),
        ("othr.yaml", "did you mean 'other.yaml'?"),
        ("../outside.yaml", "lies outside the study's folder"),
        ("/etc/passwd", "lies outside the study's folder"),
        ("link.yaml", "lies outside the study's folder"),
        ("[other.yaml]", "wants the name of one study file"),
        ("3", "wants the name of one study file"),
        ("''", "wants the name of one study file"),
        (".", "no file '.'"),
    ],
)
def test_extends_that_cannot_be_is_refused(
    write: Callable[..., Path], small: str, word: str, wanted: str
) -> None:
    outside = write(small, "outside.yaml")
    path = write(f"extends: {word}\n{small}", "folder/x.yaml")
    write("extends: x.yaml\n", "folder/other.yaml")
    (path.parent / "link.yaml").symlink_to(outside)
    with pytest.raises(StudyError, match=re.escape(wanted)):
        load_study(path)


def test_what_is_kept_of_a_study_reads_back_without_the_files_it_extends(
    write: Callable[..., Path], small: str
) -> None:
    write(
        small + "axes: {model.size: [XS, S], train.lr: [1e-4, 3.0e-05]}\nevaluate: {steps: 5}\n",
        "parents/base.yaml",
    )
    path = write(
        "extends: parents/base.yaml\nstudy: child\nquestion: 'Why: \"1e-4\"? 010'\n"
        "base: {train: {batch: 32}}\n"
    )
    loaded = load_study(path)
    kept = load_study(write(loaded.text, "elsewhere/study.yaml"))
    assert expand(kept).runs == expand(loaded).runs
    assert (kept.question, kept.axes.values) == (loaded.question, loaded.axes.values)
    assert list(kept.axes.values) == list(loaded.axes.values)
    assert "parents/base.yaml" in kept.text
    assert kept.parents == ()
