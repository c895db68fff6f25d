"""Commands of the command line, called in the process of the test."""

from __future__ import annotations

import pytest

from dit_core.cli import app


def call(arguments: list[str], code: int = 0) -> None:
    """Run a command and compare its exit code."""
    with pytest.raises(SystemExit) as ended:
        app.main(arguments)
    assert (ended.value.code or 0) == code


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it wrote to stdout and to stderr."""
    with pytest.raises(SystemExit) as ended:
        app.main(list(words))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err
