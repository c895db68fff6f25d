"""The programs the tests need besides Python, a Slurm and a browser: what is missing here, and
installing it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """Something tests run for real: its programs, and the Debian packages that have them."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        """Return whether all of its programs are."""
        return all(map(which, self.programs))


SLURM = Tool(
    "Slurm", ("munged", "slurmctld", "slurmd", "sbatch"), ("slurm-wlm", "slurm-client", "munge")
)
ACCOUNTING = Tool("Slurm's accounting", ("slurmdbd", "mariadbd"), ("slurmdbd", "mariadb-server"))
BROWSER = Tool(
    "Chromium", ("chromium", "chromedriver"), ("chromium", "chromium-driver", "fonts-dejavu-core")
)


def missing(*, accounting: bool = False) -> str | None:
    """Return what to do before a cluster can be brought up here, or None where nothing is
    lacking.
    """
    if os.geteuid() != 0:
        return "a Slurm for tests needs root (device nodes, slurmd); run as root"
    tools = [tool for tool in (SLURM, *([ACCOUNTING] if accounting else [])) if not tool.is_there]
    return f"apt-get install {_packages(tools)}" if tools else None


def install() -> str:
    """Install what is missing where we are root; return what was done, or is to do by hand."""
    tools = [tool for tool in (SLURM, ACCOUNTING, BROWSER) if not tool.is_there]
    if not tools:
        return "Slurm and Chromium for the tests: there"
    names = ", ".join(tool.name for tool in tools)
    packages = _packages(tools)
    by_hand = f"their tests are skipped; as root: apt-get install {packages}"
    if os.geteuid() != 0 or which("apt-get") is None:
        return f"not there: {names}; {by_hand}"
    print(f"installing for the tests: {names}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", *packages.split()],
    ):
        done = subprocess.run(
            ["apt-get", *words], env=environment, capture_output=True, check=False, text=True
        )
        if done.returncode:
            return f"apt-get {words[0]} failed ({done.stderr.strip()[-200:]}): {names}; {by_hand}"
    return f"installed: {packages}"


def which(program: str) -> str | None:
    """Return the path of a program, system folders included; None where there is none."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _packages(tools: list[Tool]) -> str:
    return " ".join(package for tool in tools for package in tool.packages)
