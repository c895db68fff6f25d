"""Rows of the training curve on disk: written in batches, closed by a checksum, the latest
attempt's row wins.
"""

from __future__ import annotations

import math
import os
import random
from pathlib import Path

from dit_core.records.metrics import MetricsWriter, decode, encode, read_curve, read_rows
from dit_core.records.paths import RunPaths


def test_a_row_survives(tmp_path):
    row = {"images": 64, "step": 1, "loss": 0.1 + 0.2, "vb": None}
    assert decode(encode(row)) == row
    writer = MetricsWriter(tmp_path / "m.jsonl")
    writer.write(row)
    writer.close()
    writer.close()
    assert list(read_rows(tmp_path / "m.jsonl")) == [row]


def test_numbers_that_are_none_are_named():
    row = decode(encode({"images": 1, "loss": math.nan, "grad_norm": -math.inf}))
    assert row == {
        "images": 1,
        "loss": None,
        "grad_norm": None,
        "nonfinite": {"loss": "nan", "grad_norm": "-inf"},
    }


def test_every_altered_byte_is_noticed():
    line = encode({"images": 640, "step": 10, "loss": 1.25})
    draw = random.Random(0)
    accepted = 0
    for _ in range(2000):
        data = bytearray(line.rstrip(b"\n"))
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        try:
            accepted += decode(bytes(data)) is not None
        except (ValueError, UnicodeDecodeError):
            continue
    print(f"altered rows accepted: {accepted} of 2000")
    assert accepted == 0


def test_a_torn_tail_costs_its_row_alone(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = [encode({"images": k, "step": k}) for k in range(10)]
    for cut in range(1, len(lines[-1]) - 1):
        path.write_bytes(b"".join(lines[:-1]) + lines[-1][:cut])
        assert len(list(read_rows(path))) == 9


def test_rows_reach_the_disk_in_batches(tmp_path):
    path = tmp_path / "m.jsonl"
    writer = MetricsWriter(path)
    for k in range(100):
        writer.write({"images": k, "step": k})
    assert path.stat().st_size == 0  # within two seconds
    writer.sync()
    assert len(list(read_rows(path))) == 100
    for k in range(100, 3000):
        writer.write({"images": k, "step": k})
    assert path.stat().st_size > 64 * 1024  # by size
    writer.close()


def test_work_that_was_redone_counts_once(tmp_path):
    paths = RunPaths(tmp_path)
    for number, span in ((1, range(0, 8)), (2, range(5, 12))):
        paths.attempt(number).mkdir(parents=True)
        writer = MetricsWriter(paths.attempt(number) / "metrics.jsonl")
        for k in span:
            writer.write({"images": k, "step": k, "loss": float(number)})
        writer.close()
    curve = read_curve(paths)
    assert [row["images"] for row in curve] == list(range(12))
    assert [row["loss"] for row in curve] == [1.0] * 5 + [2.0] * 7


def test_a_device_that_cannot_be_synced_is_no_error():
    writer = MetricsWriter(os.devnull)
    writer.write({"images": 1, "step": 1, "loss": 1.0})
    writer.sync()
    writer.close()
    assert Path(os.devnull).stat().st_size == 0  # still the device, no file in its place
    assert Path(os.devnull).is_char_device()
