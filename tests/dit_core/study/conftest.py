"""Studies written to a temporary folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from dit_core.study.grid.expand import Expansion, expand
from dit_core.study.language.spec import parse_study
from dit_core.study.language.study_model import Study

HERE = Path(__file__).parent

Write = Callable[[str], Study]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a study file and returns its path."""

    def written(text: str, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return written


@pytest.fixture
def study(tmp_path: Path) -> Write:
    """Return a function from text to a study, as if it lay in a file x.yaml."""
    return lambda text: parse_study(text, tmp_path / "x.yaml")


@pytest.fixture
def expanded(study: Write) -> Callable[..., Expansion]:
    """Return a function from text to the expansion of the study."""
    return lambda text, **options: expand(study(text), **options)


@pytest.fixture
def full() -> str:
    """Return the text of a study that uses every key of the language."""
    return (HERE / "full.yaml").read_text(encoding="utf-8")


@pytest.fixture
def small() -> str:
    """Return the text of the smallest study."""
    return (HERE / "small.yaml").read_text(encoding="utf-8")
