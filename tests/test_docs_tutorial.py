"""docs/tutorial.md works: every command on it is run, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
COMMANDS = [text for language, _, text in BLOCKS if language == "bash"]

# A cluster that is there and idle. What is submitted with --go is submitted by `tests/slurm`.
SLURM = {
    "scontrol": "exit 0",
    "sinfo": "echo 'gpu*|8|gpu:a100:4|32|256000|2-00:00:00'",
    "squeue": "exit 0",
    "sacct": "exit 0",
    "sbatch": "echo 'sbatch must not be called' >&2; exit 9",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a newcomer: an empty home, `ditlab` on the path, an idle Slurm."""
    tools = tmp_path / "tools"
    tools.mkdir()
    python = f'exec "{sys.executable}" "$@"'
    ditlab = f'exec "{sys.executable}" -c "from dit_core.cli.app import main; main()" "$@"'
    for name, script in {**SLURM, "python": python, "ditlab": ditlab}.items():
        (tools / name).write_text(f"#!/bin/bash\n{script}\n")
        (tools / name).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DITLAB_", "SLURM", "MAKE"))}
    return {
        **kept,
        "HOME": str(tmp_path),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def script() -> str:
    """Return the page as one shell script: files are written, --go is left out."""
    lines = ["set -euo pipefail"]
    for language, title, text in BLOCKS:
        if title:
            lines.append(f"cat > {title} <<'END_OF_FILE'\n{text}END_OF_FILE")
        elif language == "bash" and text is not COMMANDS[0]:
            lines.append(text.replace(" --go\n", "\n"))
    return "\n".join(lines)


def test_the_installation_is_what_make_does(environment: dict[str, str]):
    assert COMMANDS[0] == "make install\nsource .venv/bin/activate\n"
    command = ["make", "--dry-run", "--always-make", "install"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "-m venv .venv" in done.stdout
    assert "pip install" in done.stdout


@pytest.mark.slow
def test_every_command_works(tmp_path: Path, environment: dict[str, str]):
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folder = tmp_path / "first-study" / "results" / "studies" / "ink"
    assert (folder / "figures" / "figure08-gmacs-quality.pdf").is_file()
    assert (folder / "figures" / "table4.tex").is_file()
    assert (folder / "report" / "index.html").is_file()
    assert (tmp_path / "first-study" / "ink.tar.gz").is_file()


def test_what_plan_is_said_to_print_is_what_it_prints(tmp_path: Path, environment: dict[str, str]):
    study = next(text for _, title, text in BLOCKS if title == "scans.yaml")
    (tmp_path / "scans.yaml").write_text(study)
    command = ["ditlab", "plan", "scans.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    shown = next(text for language, _, text in BLOCKS if language == "text")
    printed = [line.split() for line in done.stdout.splitlines()]
    assert all(line.split() in printed for line in shown.splitlines()), done.stdout
