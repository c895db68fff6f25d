"""Rows of the training curve, the event file beside them, and the loss spikes."""

from __future__ import annotations

import random

import torch
from trainings import paths_of, run_of, science_of

from dit_core.executor.one_run import execute_run
from dit_core.records.metrics import read_curve
from dit_core.records.paths import Store
from dit_core.training import board
from dit_core.training.curve import _Spikes


def test_rows_are_means_over_windows_that_cover_the_run(tmp_path):
    torch.set_num_threads(1)
    fine = run_of(science_of(steps=10))
    coarse = run_of(science_of(steps=10), log_every_images=4 * 16)
    for name, run in (("fine", fine), ("coarse", coarse)):
        execute_run(Store(tmp_path / name), run)
    steps = read_curve(paths_of(tmp_path / "fine", fine))
    rows = read_curve(paths_of(tmp_path / "coarse", coarse))
    assert [row["step"] for row in rows] == [4, 8, 10]
    for row, window in zip(rows, (steps[:4], steps[4:8], steps[8:]), strict=True):
        mean = sum(one["loss"] for one in window) / len(window)
        assert abs(row["loss"] - mean) < 1e-9
        assert abs(row["loss"] - row["mse"] - row["vb"]) < 1e-5
        assert row["images_per_s"] > 0
        assert row["memory_bytes"] > 1e7


def test_a_flow_has_no_variational_term(tmp_path):
    run = run_of(science_of(steps=2, flow=True))
    execute_run(Store(tmp_path), run)
    assert all(
        row["vb"] is None and row["loss"] == row["mse"]
        for row in read_curve(paths_of(tmp_path, run))
    )


def test_event_files_hold_the_rows(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_of(science_of(steps=5))
    execute_run(Store(tmp_path), run)
    paths = paths_of(tmp_path, run)
    events = EventAccumulator(str(paths.attempt(1))).Reload()
    for name in ("loss", "mse", "vb", "grad_norm", "images_per_s", "memory_bytes"):
        written = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(row["images"], row[name]) for row in read_curve(paths)]
        assert len(written) == 5
        assert all(
            a == b and abs(v - w) <= 1e-6 * abs(w)
            for (a, v), (b, w) in zip(written, expected, strict=True)
        )


def test_a_broken_event_file_does_not_stop_a_training(tmp_path, monkeypatch):
    def fails(self, row):
        raise OSError("No space left on device")

    monkeypatch.setattr(board.Board, "_add", fails)
    assert execute_run(Store(tmp_path), run_of(science_of(steps=3))).how == "done"


def test_spikes_are_told_from_noise():
    spikes = _Spikes()
    draw = random.Random(0)
    false = sum(spikes.usual(1.0 + 0.1 * draw.gauss(0, 1)) is not None for _ in range(5000))
    assert spikes.usual(3.0) is not None
    print(f"false spikes among 5,000 normal losses: {false}")
    assert false == 0
