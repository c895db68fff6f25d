"""What is shipped: the wheel and the source archive hold what they should, and the wheel works."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


PROJECT_FILES = ("LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md")


def build(kind: str, out: Path) -> Path:
    """Build a "wheel" or an "sdist" into `out`; return the file."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=120)
    return next(out.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def test_source_archive_holds_what_a_project_has(tmp_path: Path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = archive.getnames()
    inside = {name.partition("/")[2] for name in names}
    assert {*PROJECT_FILES, "docs/tutorial.md", "studies/digits.yaml"} <= inside
    assert not any(name.startswith(("results/runs", ".venv", "build/")) for name in inside)


def test_wheel_carries_the_licence(wheel: Path):
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_exactly_the_three_packages(wheel: Path):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"dit_core", "analysis", "slurm"}


def test_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path):
    target = tmp_path / "site"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(target)
    code = "from dit_core.cli.app import main; import dit_core; print(dit_core.__file__); main()"
    command = [sys.executable, "-c", code, "plan", str(ROOT / "studies" / "digits.yaml"), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(target)}
    result = subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(target))
    assert '"run_id"' in result.stdout
    assert list(elsewhere.iterdir()) == []
