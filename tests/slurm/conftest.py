"""Clusters, profiles and small studies for the tests of submission."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_cluster
from slurm_cluster import Cluster

STUDY = """\
study: {name}
question: Does it survive?
base:
  data: {{name: digits}}
  model: {{size: XXXS, patch: 8}}
  train: {{duration: {steps} steps, batch: 16, lr: 1e-3, ema: 0.9}}
axes: {{train.seed: {seeds}}}
evaluate:
  - {{protocol: digits, at: {at}, sampler: ddim, steps: 2, samples: 100}}
execution: {{threads: 1, device: cpu, save_every_images: {save}, processes: {processes}}}
"""


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a study of the smallest network and returns its path."""

    def write(
        name: str = "small",
        seeds: int = 1,
        steps: int = 20,
        at: str = "[100%]",
        save: int = 64,
        processes: int = 1,
    ) -> Path:
        text = STUDY.format(
            name=name, steps=steps, seeds=list(range(seeds)), at=at, save=save, processes=processes
        )
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def write_profile(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a clusters file with profile "lab" and returns its path."""

    def write(**keys: object) -> Path:
        import json

        profile = {
            "partition": "gpu",
            "gpus_per_node": 4,
            "cpus_per_process": 1,
            "minutes": 60,
            **keys,
        }
        path = tmp_path / "clusters.yaml"
        path.write_text(f"lab: {json.dumps(profile)}\n")
        path.chmod(0o600)
        return path

    return write


def _cluster(**options: object) -> Iterator[Cluster]:
    lacking = slurm_cluster.missing(accounting=bool(options.get("accounting")))
    if lacking:
        if os.environ.get("DITLAB_REQUIRE_PACKAGES"):
            pytest.fail(f"no Slurm for the tests: {lacking}")
        pytest.skip(f"no Slurm for the tests: {lacking}")
    # munge wants every folder above its socket open to all, which pytest's own folders are not
    folder = Path(tempfile.mkdtemp(prefix="ditlab-slurm-"))
    cluster = Cluster(folder, **options)
    try:
        yield cluster.up()
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[Cluster]:
    """Yield one real Slurm without accounting for all tests of a session."""
    yield from _cluster()


@pytest.fixture
def cluster(session_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Yield the session's Slurm, empty, with SLURM_CONF set; its jobs are cancelled afterwards."""
    monkeypatch.setenv("SLURM_CONF", str(session_cluster.conf))
    yield session_cluster
    session_cluster.cancel_all()


@pytest.fixture
def accounting_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Yield a real Slurm with slurmdbd and its database."""
    for cluster in _cluster(accounting=True):
        monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
        yield cluster


@pytest.fixture
def ditlab(store) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command line in a process of its own, on the test's results
    folder.
    """

    def call(
        *words: object, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dit_core.cli.app", *map(str, words)]
        none = subprocess.DEVNULL
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, stdin=none, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    return call


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that puts a shell script first on PATH under the name of one of Slurm's
    commands.
    """
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        path = folder / name
        real = shutil.which(name, path=os.environ["PATH"].split(os.pathsep, 1)[1]) or "/bin/false"
        path.write_text(f"#!/bin/bash\nREAL={real}\n{script}\n")
        path.chmod(0o755)
        return path

    return make
