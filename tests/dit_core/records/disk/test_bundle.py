"""Bundles: whole or absent, verified, replaced only when the new one is complete."""

from __future__ import annotations

import errno
import os

import pytest

from dit_core.errors import EnvironmentProblem, RecordError
from dit_core.records.disk import bundle
from dit_core.records.disk.bundle import StorageFull


def write(text: str):
    return lambda path: path.write_text(text)


def test_a_bundle_holds_its_files_and_facts(tmp_path):
    bundle.publish(
        tmp_path / "one", {"a.txt": write("alpha"), "b.txt": write("")}, {"images_seen": 7}
    )
    manifest = bundle.verify(tmp_path / "one")
    assert manifest["images_seen"] == 7
    assert manifest["files"]["a.txt"]["size"] == 5
    assert sorted(os.listdir(tmp_path)) == ["one"]


def test_a_failing_writer_leaves_the_old_one(tmp_path):
    bundle.publish(tmp_path / "one", {"a.txt": write("old")}, {})

    def fails(path):
        path.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        bundle.publish(tmp_path / "one", {"a.txt": write("new"), "b.txt": fails}, {})
    assert (tmp_path / "one" / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_is_said_in_words(tmp_path, number):
    def fails(path):
        raise OSError(number, os.strerror(number))

    with pytest.raises(StorageFull, match="no space left to write one; the last good one is kept"):
        bundle.publish(tmp_path / "one", {"a.txt": fails}, {})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "message", ["unexpected pos 4096 vs 4090", "I/O error: No space left on device (os error 28)"]
)
def test_full_is_recognised_where_a_library_hides_it(tmp_path, message):
    def fails(path):
        raise RuntimeError(message)

    with pytest.raises(StorageFull):
        bundle.publish(tmp_path / "one", {"a.txt": fails}, {})


def test_another_error_names_the_place(tmp_path):
    def fails(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(
        EnvironmentProblem, match=r"one: cannot be written \(Input/output error\)"
    ) as caught:
        bundle.publish(tmp_path / "one", {"a.txt": fails}, {})
    assert not isinstance(caught.value, StorageFull)


@pytest.mark.parametrize(
    "manifest", ["", "{", "[]", "{}", '{"files": 3}', '{"files": {"a.txt": 3}}', "\x00" * 40]
)
def test_what_is_no_manifest_is_refused(tmp_path, manifest):
    bundle.publish(tmp_path / "one", {"a.txt": write("alpha")}, {})
    (tmp_path / "one" / bundle.MANIFEST).write_text(manifest)
    with pytest.raises(RecordError, match=r"MANIFEST\.json"):
        bundle.verify(tmp_path / "one")


def test_a_file_in_the_place_of_a_bundle_is_refused(tmp_path):
    (tmp_path / "one").write_text("a file")
    with pytest.raises(RecordError):
        bundle.verify(tmp_path / "one")


def test_what_killed_writers_left_is_swept(tmp_path):
    bundle.publish(tmp_path / "one", {"a.txt": write("alpha")}, {})
    for name in (".two.0123.tmp", ".one.4567.gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("half")
    bundle.sweep_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["one"]
    bundle.remove(tmp_path / "one")
    bundle.remove(tmp_path / "one")
    assert os.listdir(tmp_path) == []
