"""The texture of the code: a function fits a screen, a file one noun, a folder one glance."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest
from import_graph import PACKAGES

ROOT = Path(__file__).parent.parent
LONGEST_FUNCTION = 90  # lines, from `def` to the last one, docstring included
NINE_OF_TEN_FUNCTIONS = 20
LONGEST_FILE = 300
MOST_PARAMETERS = 7  # `self` and `cls` not counted
MOST_FILES = 15  # beside each other in a folder, `__init__.py` not counted
# One long, flat function, to be read from the top like the algorithm in the paper.
TRAINING_LOOP = "dit_core/training/train.py: train"
MANY_FILES = {"analysis/figures"}  # one file for each figure

# The bound stands; some places are still above it. The mark goes when the list is empty.
NOT_YET = pytest.mark.xfail(reason="some places are still above the bound")

LOOSE = re.compile(
    r"#\s*type:\s*ignore(?!\[[a-z-]+)"  # without the code of the error
    r"|#\s*noqa(?!:\s*[A-Z]+[0-9]+)"
    r"|\b(TODO|FIXME|XXX|HACK)\b"
)
UNFORMATTED = re.compile(r"#\s*fmt:\s*(skip|off)")
TABLES = (ast.Dict, ast.List, ast.Set, ast.Tuple)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class File:
    """A Python file: its name below the root, its text and its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        """Yield every function and method."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def comments(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
        """Yield the line and the text of every comment in which the pattern occurs."""
        if not pattern.search(self.text):
            return
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT and pattern.search(token.string):
                yield token.start[0], token.string


def file_of(name: str, text: str) -> File:
    """Return a file with its tree."""
    return File(name, text, ast.parse(text))


@pytest.fixture(scope="module")
def files() -> list[File]:
    """Return every Python file of the three packages."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [file_of(p.relative_to(ROOT).as_posix(), p.read_text()) for p in paths]


def length(function: Function) -> int:
    """Return the lines of a function."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def long_functions(files: list[File]) -> list[str]:
    """Return the functions that are longer than a screen."""
    named = [(f"{file.name}: {f.name}", length(f)) for file in files for f in file.functions()]
    return [f"{name}, {n} lines" for name, n in named if n > LONGEST_FUNCTION]


def long_files(files: list[File]) -> list[str]:
    """Return the files that are longer than one noun takes."""
    return [f"{file.name}, {file.lines} lines" for file in files if file.lines > LONGEST_FILE]


def wide_functions(files: list[File]) -> list[str]:
    """Return the functions of too many parameters.

    A command has one parameter for each of its options, which typer reads: it is no call anybody
    writes, so it is not counted.
    """
    found = []
    for file in files:
        for function in file.functions():
            number = len([a for a in _parameters(function) if a.arg not in ("self", "cls")])
            if number > MOST_PARAMETERS and not _is_command(file, function):
                found.append(f"{file.name}: {function.name}, {number} parameters")
    return found


def _parameters(function: Function) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def _is_command(file: File, function: Function) -> bool:
    return file.name.startswith("dit_core/cli/") and "typer." in ast.unparse(function.args)


def packed_assignments(files: list[File]) -> list[str]:
    """Return where several names get several values in one statement."""
    return [
        f"{file.name}:{node.lineno}"
        for file in files
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and any(isinstance(target, ast.Tuple) for target in node.targets)
    ]


def unformatted(files: list[File]) -> list[str]:
    """Return where the formatter is off, and not for a table of literals."""
    found = []
    for file in files:
        tables = {
            node.end_lineno
            for node in ast.walk(file.tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, TABLES)
        }
        for line, _ in file.comments(UNFORMATTED):
            if line not in tables:
                found.append(f"{file.name}:{line}")
    return found


def loose_comments(files: list[File]) -> list[str]:
    """Return the comments that silence a check without its code, or leave work to a reader."""
    return [
        f"{file.name}:{line} {comment}" for file in files for line, comment in file.comments(LOOSE)
    ]


def full_folders(files: list[File]) -> list[str]:
    """Return the folders with too many files beside each other."""
    names = sorted(file.name for file in files if not file.name.endswith("/__init__.py"))
    folders = groupby(sorted(name.rpartition("/")[0] for name in names))
    counted = [(folder, len(list(group))) for folder, group in folders]
    full = [(folder, n) for folder, n in counted if n > MOST_FILES and folder not in MANY_FILES]
    return [f"{folder}, {n} files" for folder, n in full]


def test_a_function_fits_a_screen(files):
    found = [line for line in long_functions(files) if not line.startswith(TRAINING_LOOP + ",")]
    assert found == []


@NOT_YET
def test_nine_of_ten_functions_are_short(files):
    lengths = sorted(length(f) for file in files for f in file.functions())
    assert lengths[int(0.9 * len(lengths))] <= NINE_OF_TEN_FUNCTIONS


@NOT_YET
def test_a_file_is_about_one_noun(files):
    assert long_files(files) == []


@NOT_YET
def test_a_call_can_be_read(files):
    assert wide_functions(files) == []


def test_one_assignment_a_statement(files):
    assert packed_assignments(files) == []


def test_the_formatter_is_on(files):
    assert unformatted(files) == []


def test_a_silenced_check_names_its_code_and_no_work_is_left_over(files):
    assert loose_comments(files) == []


def test_a_folder_is_seen_at_a_glance(files):
    assert full_folders(files) == []


def test_what_is_excepted_is_there(files):
    loops = [f"{file.name}: {f.name}" for file in files for f in file.functions()]
    assert TRAINING_LOOP in loops
    assert all((ROOT / folder).is_dir() for folder in MANY_FILES)


def test_the_checks_see_what_they_are_for():
    body = "    x = 1\n" * 90
    bad = file_of(
        "dit_core/study/a.py",
        f"def f(a, b, c, d, e, *, g, h, i):\n{body}\n"
        "p, q = 1, 2\n"
        "r = p  # type: ignore\n"
        "s = q  # noqa\n"
        "t = f(s)  # fmt: skip\n" + "# TODO: all\n" * 210,
    )
    assert long_functions([bad]) == ["dit_core/study/a.py: f, 91 lines"]
    assert long_files([bad]) == ["dit_core/study/a.py, 306 lines"]
    assert wide_functions([bad]) == ["dit_core/study/a.py: f, 8 parameters"]
    assert packed_assignments([bad]) == ["dit_core/study/a.py:93"]
    assert unformatted([bad]) == ["dit_core/study/a.py:96"]
    assert len(loose_comments([bad])) == 212
    assert full_folders([file_of(f"slurm/a/{i}.py", "") for i in range(16)]) == [
        "slurm/a, 16 files"
    ]


def test_the_checks_let_pass_what_is_allowed():
    good = file_of(
        "dit_core/cli/a.py",
        "def command(a: int = typer.Option(1), b=2, c=3, d=4, e=5, g=6, h=7, i=8):\n"
        "    x, y = pair()\n"
        "    z = x  # type: ignore[arg-type]\n"
        "    w = y  # noqa: E501\n"
        "ROWS = {\n    1: 2,\n}  # fmt: skip\n",
    )
    checks = (long_functions, long_files, wide_functions, packed_assignments, unformatted)
    assert [check([good]) for check in (*checks, loose_comments, full_folders)] == [[]] * 7
