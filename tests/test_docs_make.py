"""The Makefile: every `make` target that a page names exists, and an old Python is refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += (ROOT / "docs").glob("*.md")


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # `make test` tells the makes below it what it was told itself
    alone = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *words], cwd=folder, env=alone, capture_output=True, text=True, timeout=60
    )


def test_help_lists_every_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"^make ([a-z-]+) {2,}\S", make(ROOT).stdout, re.MULTILINE)
    assert sorted(shown) == sorted(phony[1].split())


def test_every_target_named_on_a_page_exists():
    targets = set(re.findall(r"^make ([a-z-]+)", make(ROOT, "help").stdout, re.MULTILINE))
    named = re.compile(r"(?:`|^ {0,4})make ([a-z][a-z-]*)", re.MULTILINE)
    wrong = {p.name: set(named.findall(p.read_text())) - targets for p in PAGES}
    assert {page: words for page, words in wrong.items() if words} == {}


def test_an_old_python_is_refused_in_one_line(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")  # what the check of the version ends with there
    old.chmod(0o755)
    for python in (str(old), "python-that-is-not-there"):
        done = make(tmp_path, "demo", f"PYTHON={python}")
        said = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
        assert done.returncode != 0
        assert len(said) == 1
        assert said[0].startswith("ditlab needs Python 3.11 or newer")
        assert "PYTHON=" in said[0]
        assert not (tmp_path / ".venv").exists()
