"""Torn files, hostile files, pipes, and files of other users: one line each, never a traceback."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from dit_core.errors import RecordError, UserError
from dit_core.records.attempt import read_attempts, start_attempt
from dit_core.records.disk import bundle, files
from dit_core.records.disk.files import TornFile, read_json, sync_folder
from dit_core.records.disk.owner import refuse_foreign
from dit_core.records.metrics import read_rows
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.paths import RunPaths
from dit_core.records.rows import read_metrics
from dit_core.records.upkeep.pack import _ALLOWED

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to give files to another user")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "runs" / "ab" / "ab00000000000000")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[" * 100_000, "nested deeper"),
        ("[" * 100 + "]" * 100, "nested deeper"),
        ('{"a": "x\\u0000y"}', "NUL"),
        ('{"a": 1}\0', "NUL"),
        ('{"a": ', "not readable"),
    ],
)
def test_json_that_no_record_is(tmp_path, text, cause):
    path = tmp_path / "outcome.json"
    path.write_text(text)
    with pytest.raises(TornFile, match=cause):
        read_json(path)


def test_json_larger_than_any_record(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 4)
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(TornFile, match="more than any record"):
        read_json(tmp_path / "x.json")


def test_a_pipe_is_refused_and_not_waited_for(paths):
    folder = paths.attempt(1)
    folder.mkdir(parents=True)
    os.mkfifo(paths.outcome)
    os.mkfifo(paths.metrics(1))
    os.mkfifo(paths.attempt_record(1))
    with pytest.raises(RecordError, match="no regular file"):
        read_outcome(paths)
    assert list(read_rows(paths.metrics(1))) == []
    assert [p.kind for p in read_metrics(paths.metrics(1))[1]] == ["unreadable"]
    assert read_attempts(paths) == [{"attempt": 1, "run_id": paths.root.name}]


def test_a_torn_attempt_stops_nothing(paths):
    for damage in (b'{"attempt": 1, "ru', b"[]", b'{"attempt": 7}'):
        attempt = start_attempt(paths, device="cpu")
        attempt.metrics.close()
        paths.attempt_record(attempt.number).write_bytes(damage)
    assert [a["attempt"] for a in read_attempts(paths)] == [1, 2, 3]
    assert start_attempt(paths, device="cpu").number == 4


@pytest.mark.parametrize("name", ["outcome", "attempt"])
def test_a_flipped_digit_is_noticed_and_an_unsealed_record_still_read(paths, name):
    attempt = start_attempt(paths, device="cpu")
    attempt.end("done", images_seen=1600)
    write_outcome(paths, Outcome("DONE", None, 1600, 1))
    path = paths.outcome if name == "outcome" else paths.attempt_record(1)
    whole = path.read_text()
    path.write_text(whole.replace("1600", "1601"))
    with pytest.raises(TornFile, match="checksum"):
        read_json(path)
    plain = json.loads(whole)
    del plain["crc"]
    path.write_text(json.dumps(plain))
    assert read_json(path) == plain


def test_weights_follow_the_umask(tmp_path):
    def secretive(path: Path) -> None:
        path.write_bytes(b"x")
        path.chmod(0o600)

    before = os.umask(0o022)
    try:
        bundle.publish(tmp_path / "b", {"w": secretive}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "b" / "w").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_synced_or_renamed(tmp_path, monkeypatch):
    def refuse(number):
        def call(*_):
            raise OSError(number, os.strerror(number))

        return call

    bundle.publish(tmp_path / "b", {"w": lambda p: p.write_bytes(b"x")}, {})
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", refuse(errno.EINVAL))
        sync_folder(tmp_path)
        patch.setattr(files.os, "fsync", refuse(errno.EIO))
        with pytest.raises(OSError, match=str(tmp_path)):
            sync_folder(tmp_path)
    monkeypatch.setattr(Path, "rename", refuse(errno.EXDEV))
    bundle.remove(tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "name",
    [
        f"intents/{'a' * 16}/payload.json",
        f"intents/{'a' * 16}/job.json",
        "submit.lock.json",
        "workers.log",
        "intents/x",
    ],
)
def test_an_archive_holds_no_orders_and_no_locks(name):
    assert not _ALLOWED.fullmatch(f"studies/s/{name}")
    assert _ALLOWED.fullmatch("studies/s/plan.json")
    assert _ALLOWED.fullmatch("studies/s/report/figures/a.png")


@as_root
def test_what_another_user_owns_or_may_write_is_refused(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    file = folder / "clusters.yaml"
    file.write_text("x")
    refuse_foreign(file, "it runs as you")
    for place, mode in ((file, 0o622), (file, 0o664), (folder, 0o777), (folder, 0o2775)):
        before = place.stat().st_mode & 0o7777
        place.chmod(mode)
        with pytest.raises(UserError, match="others may write here"):
            refuse_foreign(file, "it runs as you")
        place.chmod(before)
    folder.chmod(0o1777)
    refuse_foreign(file, "it runs as you")
    os.chown(file, 4711, 4711)
    with pytest.raises(UserError, match="belongs to another user"):
        refuse_foreign(file, "it runs as you")
    os.chown(file, 0, 0)
    os.chown(folder, 4711, 4711)
    with pytest.raises(UserError, match="belongs to another user"):
        refuse_foreign(file, "it runs as you")


@as_root
def test_a_planted_snapshot_and_profile_are_refused(tmp_path):
    from slurm.orders.snapshot import take_snapshot
    from slurm.scheduler.profile import read_profiles

    code = take_snapshot(tmp_path / "code")
    assert take_snapshot(tmp_path / "code") == code
    os.chown(code.folder / "slurm" / "__init__.py", 4711, 4711)
    with pytest.raises(UserError, match="belongs to another user"):
        take_snapshot(tmp_path / "code")
    profile = tmp_path / "clusters.yaml"
    profile.write_text("lab: {}\n")
    profile.chmod(0o644)
    assert read_profiles(profile) == {"lab": {}}
    os.chown(profile, 4711, 4711)
    with pytest.raises(UserError, match="set-up lines run as you"):
        read_profiles(profile)
