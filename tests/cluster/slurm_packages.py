"""The programs a Slurm for tests is made of: what is missing here, and installing it."""

from __future__ import annotations

import os
import shutil
import subprocess

PACKAGES = "slurm-wlm slurm-client munge"
ACCOUNTING_PACKAGES = "slurmdbd mariadb-server"


def missing(*, accounting: bool = False) -> str | None:
    """Return what to do before a cluster can be brought up here, or None where nothing is lacking."""
    if os.geteuid() != 0:
        return "a Slurm for tests needs root (device nodes, slurmd); run as root"
    programs = ["munged", "slurmctld", "slurmd", "sbatch"] + (["slurmdbd", "mariadbd"] if accounting else [])
    if any(which(p) is None for p in programs):
        return f"apt-get install {PACKAGES}{' ' + ACCOUNTING_PACKAGES if accounting else ''}"
    return None


def install_packages() -> str:
    """Install the Debian packages of Slurm where they are missing and we are root; return what was done or is to do."""
    lacking = missing(accounting=True)
    if lacking is None:
        return "Slurm for the tests: there"
    if os.geteuid() != 0 or which("apt-get") is None:
        return f"Slurm for the tests: missing, its tests will be skipped; {lacking}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = f"{PACKAGES} {ACCOUNTING_PACKAGES}".split()
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *words], env=environment, capture_output=True, check=False)
        if done.returncode:
            return f"Slurm for the tests: apt-get {words[0]} failed, its tests will be skipped; {lacking}"
    return "Slurm for the tests: installed"


def which(program: str) -> str | None:
    """Return the path of a program, system folders included; None where there is none."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
