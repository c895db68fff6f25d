"""Checkpoints under everything that happens to files: kills, truncation, bit rot, loss, foreign
files, a full disk.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import pickle
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from trainings import run_of, science_of

from dit_core.errors import EnvironmentProblem, RecordError
from dit_core.records.disk import bundle, files
from dit_core.records.disk.bundle import StorageFull
from dit_core.records.paths import RunPaths, Store
from dit_core.training import checkpoint, train
from dit_core.training.state import TrainState

SCIENCE = science_of()
RUN = run_of(SCIENCE)


@pytest.fixture
def paths(tmp_path) -> RunPaths:
    return Store(tmp_path).run(RUN.run_id)


def state_at(images: int) -> TrainState:
    """Return a state whose every number says at which image it was taken."""
    torch.set_num_threads(1)
    state, _ = train.build_state(SCIENCE, RUN.execution, torch.device("cpu"))
    for k, part in enumerate((state.weights, state.ema, state.exp_avg, state.exp_avg_sq)):
        with torch.no_grad():
            part.fill_(images + k / 8)
    state.optimizer_steps.fill_(images)
    state.images_seen = images
    return state


def check(state: TrainState) -> int:
    """Return the images seen of a loaded state, after checking that all of it is of that moment."""
    images = state.images_seen
    for k, part in enumerate((state.weights, state.ema, state.exp_avg, state.exp_avg_sq)):
        assert bool((part == images + k / 8).all()), f"part {k} of the checkpoint at {images}"
    assert int(state.optimizer_steps) == images
    return images


def saved(paths: RunPaths, *points: int) -> None:
    for images in points:
        checkpoint.save_checkpoint(paths, state_at(images), keep=2)


def load(paths: RunPaths) -> tuple[int, list[str]]:
    state = state_at(0)
    troubles = checkpoint.load_newest(paths, state)
    return check(state), troubles


class _DiesAt:
    """Make the process end, as if by SIGKILL, in its n-th call that changes the disk; a write is
    half done by then.
    """

    def __init__(self, last: int) -> None:
        self.left = last

    def arm(self) -> None:
        for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir"):
            setattr(os, name, self._before(getattr(os, name)))
        files.open = self._open  # shadows the builtin inside that module
        plain = checkpoint.save_file

        def save_file(tensors, path):
            plain(tensors, path)
            self._tick(lambda: os.truncate(path, os.path.getsize(path) // 2))

        checkpoint.save_file = save_file

    def _tick(self, half=lambda: None) -> None:
        self.left -= 1
        if self.left < 0:
            half()
            os._exit(9)

    def _before(self, call):
        def wrapped(*args, **options):
            self._tick()
            return call(*args, **options)

        return wrapped

    def _open(self, *args, **options):
        file = builtins.open(*args, **options)  # noqa: SIM115
        if "b" in args[1] and "r" not in args[1]:
            write = file.write

            class Half:
                def __getattr__(self, name):
                    return getattr(file, name)

                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

            half = Half()

            def torn(data, tick=self._tick):
                def partly():
                    write(data[: len(data) // 2])
                    file.flush()

                tick(partly)
                return write(data)

            half.write = torn
            return half
        return file


def dies_at(last: int, what) -> bool:
    """Do `what` in a child that dies in its call number `last`; return whether it died."""
    pid = os.fork()
    if pid == 0:
        try:
            _DiesAt(last).arm()
            what()
            os._exit(0)
        finally:
            os._exit(70)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 9)
    return status == 9


@pytest.mark.slow
def test_killed_at_every_change_of_the_disk_a_checkpoint_loads(paths):
    kills = unloadable = older = 0
    while True:
        shutil.rmtree(paths.root, ignore_errors=True)
        saved(paths, 100, 200)
        fresh = state_at(300)
        if not dies_at(kills, lambda fresh=fresh: checkpoint.save_checkpoint(paths, fresh, keep=2)):
            break
        kills += 1
        images, _ = load(paths)
        unloadable += images == 0
        older += images == 200
        # and the next process can save as if nothing had been
        bundle.sweep_temporaries(paths.checkpoints)
        saved(paths, 400)
        assert load(paths)[0] == 400
        assert not [name for name in os.listdir(paths.checkpoints) if name.startswith(".")]
    print(
        f"killed at each of {kills} changes: {unloadable} unloadable, {older} times the one before "
        "was newest"
    )
    assert kills >= 20
    assert unloadable == 0


@pytest.mark.parametrize("percent", [0.0, 0.1, 10.0, 50.0, 99.9])
@pytest.mark.parametrize(
    "part", ["weights.safetensors", "ema.safetensors", "optimizer.safetensors", "MANIFEST.json"]
)
def test_a_truncated_newest_is_passed_over_with_one_message(paths, part, percent):
    saved(paths, 100, 200)
    file = paths.checkpoints / f"{200:012d}" / part
    size = file.stat().st_size
    os.truncate(
        file, min(int(size * percent / 100), size - 3)
    )  # without its line end alone a manifest is whole
    images, troubles = load(paths)
    assert images == 100
    assert len(troubles) == 1
    assert str(file) in troubles[0]


def test_every_flipped_bit_is_detected(paths):
    saved(paths, 100, 200)
    folder = paths.checkpoints / f"{200:012d}"
    draw = random.Random(0)
    whole = {file: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))}
    detected = 0
    for _ in range(300):
        file = draw.choice(list(whole))
        data = bytearray(whole[file])
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
        try:
            bundle.verify(folder)
        except RecordError as error:
            detected += str(file) in str(error)
        file.write_bytes(whole[file])
    print(f"flipped bits detected: {detected} of 300")
    assert detected == 300
    assert load(paths) == (200, [])


@pytest.mark.parametrize(
    "lost", ["weights.safetensors", "ema.safetensors", "optimizer.safetensors", "MANIFEST.json"]
)
def test_a_lost_file_means_the_checkpoint_before(paths, lost):
    saved(paths, 100, 200)
    (paths.checkpoints / f"{200:012d}" / lost).unlink()
    images, troubles = load(paths)
    assert images == 100
    assert lost in troubles[0]


def test_a_checkpoint_of_another_run_is_refused(paths, tmp_path):
    other = RunPaths(tmp_path / "another")
    saved(other, 200)
    saved(paths, 100)
    shutil.copytree(other.checkpoints / f"{200:012d}", paths.checkpoints / f"{200:012d}")
    images, troubles = load(paths)
    assert images == 100
    assert "belongs to run another" in troubles[0]


def test_a_checkpoint_of_another_network_leaves_the_state_alone(paths):
    wider = science_of()
    wider = wider.model_copy(update={"model": wider.model.model_copy(update={"hidden": 64})})
    state, _ = train.build_state(wider, RUN.execution, torch.device("cpu"))
    state.images_seen = 200
    checkpoint.save_checkpoint(paths, state, keep=2)
    images, troubles = load(paths)
    assert images == 0
    assert "not those of this network" in troubles[0]


def test_a_pickle_is_not_loaded(paths, tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return Path.touch, (canary,)

    saved(paths, 100, 200)
    folder = paths.checkpoints / f"{200:012d}"
    evil = pickle.dumps(Evil())
    (folder / "weights.safetensors").write_bytes(evil)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    manifest["files"]["weights.safetensors"] = {
        "size": len(evil),
        "sha256": files.sha256_of(folder / "weights.safetensors"),
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    images, troubles = load(paths)
    assert images == 100
    assert "not readable" in troubles[0]
    assert not canary.exists()
    assert not any(
        word in Path(checkpoint.__file__).read_text() for word in ("torch.load", "pickle")
    )


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    size = 5 * checkpoint.checkpoint_bytes(state_at(0)) // 2
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False
    ).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        paths = Store(disk).run(RUN.run_id)
        saved(paths, 100, 200)
        with pytest.raises(StorageFull, match="last good one is kept"):
            saved(paths, 300)
        assert load(paths) == (200, [])
        left = [name for name in os.listdir(paths.checkpoints) if name.startswith(".")]
        with pytest.raises(StorageFull, match="GB free"):
            checkpoint.require_space(paths, state_at(0), keep=2, snapshots=2)
        print(f"disk of {size} bytes full: newest is 200, temporary files left: {len(left)}")
        assert left == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "number", [errno.EROFS, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EACCES]
)
def test_an_error_of_the_file_system_names_the_place_and_keeps_the_old(paths, monkeypatch, number):
    saved(paths, 100)
    calls = []

    def fails(descriptor):
        calls.append(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(EnvironmentProblem) as caught:
        saved(paths, 200)
    monkeypatch.undo()
    assert str(paths.checkpoints) in str(caught.value)
    assert len(calls) == 1  # no loop
    assert load(paths) == (100, [])


def test_only_verified_checkpoints_count_among_the_kept(paths):
    saved(paths, 100, 200)
    os.truncate(paths.checkpoints / f"{200:012d}" / "ema.safetensors", 10)
    saved(paths, 300)
    kept = sorted(int(folder.name) for folder in paths.checkpoints.iterdir())
    assert kept == [100, 200, 300]  # 200 does not count, so 100 stays
    saved(paths, 400)
    assert load(paths)[0] == 400
