"""Every command that a message, a docstring or a page names is one that there is, with the options
it names.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dit_core.cli.app import COMMANDS

ROOT = Path(__file__).parents[3]
PACKAGES = ("dit_core", "slurm", "analysis")
NAMED = re.compile(r"`ditlab ([a-z][a-z-]*)\b([^`;&|]*)")
SHOWN = re.compile(
    r"^ *\$? ?ditlab ([a-z][a-z-]*)\b([^;&|#\n]*)", re.MULTILINE
)  # lines of examples; prose may look alike


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every string of the packages, placeholders of f-strings left out, and every page."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    yield (
                        path,
                        "".join(
                            p.value if isinstance(p, ast.Constant) else "…" for p in node.values
                        ),
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield path, node.value
    for path in (
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "studies").glob("*.md"),
    ):
        yield path, path.read_text()


def options_of(command: str) -> set[str]:
    module, function, _ = COMMANDS[command]
    app = typer.Typer(add_completion=False)
    app.command()(getattr(importlib.import_module(module), function))
    return {word for parameter in typer.main.get_command(app).params for word in parameter.opts} | {
        "--help"
    }


def test_every_command_named_anywhere_exists_with_its_options():
    asked = set()
    wrong = []
    for path, text in texts():
        shown = [(command, rest) for command, rest in SHOWN.findall(text) if command in COMMANDS]
        for command, rest in NAMED.findall(text) + shown:
            for option in ("", *re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)):
                asked.add((command, option))
                if command not in COMMANDS or (option and option not in options_of(command)):
                    wrong.append(f"{path.relative_to(ROOT)}: ditlab {command} {option}")
    assert not wrong, "\n".join(sorted(set(wrong)))
    assert len(asked) > 40


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(command):
    assert options_of(command) > {"--help"}
