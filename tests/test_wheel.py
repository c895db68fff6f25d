"""The wheel holds exactly the named packages and works from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


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
