"""What the system refuses and what lies in the wrong place ends in one line with a remedy, never in
a traceback.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dit_core.cli import app
from dit_core.cli.work import plan
from dit_core.errors import UserError
from dit_core.records.disk import files

STUDY = str(Path(__file__).parents[3] / "studies/digits.yaml")


@pytest.fixture
def ditlab(capsys):
    """Run `ditlab …` in this process and return (exit code, lines on standard error)."""

    def call(*words: object) -> tuple[object, list[str]]:
        with pytest.raises(SystemExit) as leaving:
            app.main([str(word) for word in words])
        return leaving.value.code, capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize(
    ("number", "code", "remedy"),
    [
        (errno.EROFS, 3, "a writable place"),
        (errno.ENOSPC, 3, "free some disk space"),
        (errno.EIO, 3, ""),
        (errno.EISDIR, 2, "the path of a file"),
        (errno.ENOTDIR, 2, "the path of a folder"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    ditlab, monkeypatch, number: int, code: int, remedy: str
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/some/where")

    monkeypatch.setattr(plan, "make_plan", refuse)
    found, (line,) = ditlab("plan", STUDY)
    assert found == code
    assert line.startswith(f"error: /some/where: {os.strerror(number)}")
    assert remedy in line


def test_an_error_of_the_system_without_a_number_is_one_line(ditlab, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no answer\nfrom the host")

    monkeypatch.setattr(plan, "make_plan", refuse)
    assert ditlab("plan", STUDY) == (3, ["error: no answer from the host"])


def test_a_reader_that_left_is_no_error(ditlab, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(plan, "make_plan", refuse)
    monkeypatch.setattr(app.os, "dup2", lambda *_: None)
    assert ditlab("plan", STUDY)[1] == []


def test_a_failed_write_names_its_target_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/table\.csv'") as refused:
        files.write_atomic(tmp_path / "table.csv", b"1")
    assert refused.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_under_the_index_names_the_part_and_leaves_none(tmp_path, monkeypatch):
    import pyarrow as pa

    from analysis.tables import parquet_parts

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(parquet_parts.pq, "write_table", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/runs-.*\.parquet'"):
        parquet_parts.write_part(tmp_path, "runs", pa.table({"run_id": ["a"]}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_file_is_wanted(ditlab, tmp_path):
    for words in (
        ("query", "SELECT 1", "--out", tmp_path, "--format", "csv", "--results", tmp_path / "r"),
        (
            "submit",
            STUDY,
            "--cluster",
            "lab",
            "--profile-file",
            tmp_path,
            "--results",
            tmp_path / "r",
        ),
        ("clusters", "--profile-file", tmp_path),
    ):
        code, (line,) = ditlab(*words)
        assert (code, f"{tmp_path}: is a folder" in line) == (2, True), line
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("query", "SELECT 1"),
        ("plan", STUDY),
        ("run", STUDY),
        ("status", STUDY),
        ("doctor",),
        ("figures", "digits"),
    ],
)
@pytest.mark.parametrize("below", ["", "below/it"])
def test_a_file_as_results_folder_is_refused(ditlab, tmp_path, words: tuple[str, ...], below: str):
    file = tmp_path / "results.txt"
    file.write_text("mine")
    code, (line,) = ditlab(*words, "--results", file / below)
    assert (code, f"{file} is a file; give a folder" in line) == (2, True), line
    assert file.read_text() == "mine"


def test_cuda_that_is_not_there_is_refused_before_anything_starts(ditlab, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    study = tmp_path / "small.yaml"
    study.write_text(
        re.sub(r"(?m)^execution:.*\n", "", Path(STUDY).read_text()) + "execution: {device: cuda}\n"
    )
    results = tmp_path / "r"
    code, (line,) = ditlab("run", study, "--results", results)
    assert (code, line) == (
        3,
        f"error: {study}: execution.device cuda: PyTorch sees no CUDA device here; give cpu or "
        "auto",
    )
    assert not results.exists()


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["plan", STUDY], ["plan", STUDY, "--json"]]
)
def test_an_output_that_cannot_be_written_is_one_line_and_no_success(words: list[str]):
    command = [sys.executable, "-m", "dit_core.cli.app", *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        ("error: standard output: No space left on device", "error: No space left on device")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["--version"], ["plan", STUDY], ["plan", STUDY, "--json"], ["claims", "published"]]
)
def test_a_reader_that_leaves_early_is_no_failure(words: list[str]):
    command = (
        f'"{sys.executable}" -m dit_core.cli.app {" ".join(words)} | true; exit ${{PIPESTATUS[0]}}'
    )
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_stays_one_where_the_reader_has_left(monkeypatch):
    def fail(_: list[str]) -> None:
        raise SystemExit(1)

    def broken() -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(app, "_answer", fail)
    monkeypatch.setattr(app, "_flush", broken)
    with pytest.raises(SystemExit) as leaving:
        app.main(["run", STUDY])
    assert leaving.value.code == 1


@pytest.mark.parametrize("words", [["--version"], ["plan", STUDY, "--json"]])
def test_a_closed_output_is_no_traceback(words: list[str]):
    command = f'"{sys.executable}" -m dit_core.cli.app {" ".join(words)} >&-'
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_device_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="a device, pipe or socket, not a file"):
        files.write_atomic(pipe, b"1")
    assert pipe.is_fifo()
