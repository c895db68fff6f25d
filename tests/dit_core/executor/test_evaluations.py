"""The loop over evaluations without a record: what it says of those that fail or wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trainings import run_of, science_of

from dit_core.executor import evaluations
from dit_core.executor.evaluations import LeaveError, evaluate_missing
from dit_core.executor.watch import Result, Watch
from dit_core.records.paths import RunPaths
from dit_core.study.science.run import Run


class _Planned:
    def __init__(self, eval_id: str) -> None:
        self.eval_id = eval_id


@pytest.fixture
def paths(tmp_path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def _run(*names: str) -> Run:
    return replace(run_of(science_of(steps=2)), evaluations=tuple(map(_Planned, names)))


def _fail(monkeypatch, error: Exception) -> None:
    def broken(*_):
        raise error

    monkeypatch.setattr(evaluations, "evaluate", broken)


@pytest.mark.parametrize(
    ("error", "words"), [(MemoryError(), "MemoryError"), (ValueError("no room"), "no room")]
)
def test_a_failure_is_named_and_its_trace_kept(paths, monkeypatch, error, words):
    _fail(monkeypatch, error)
    result = evaluate_missing(paths, _run("a", "b"), Watch())
    assert result == Result("failed", f"evaluation a: {words}; evaluation b: {words}")
    assert type(error).__name__ in paths.eval_error("a").read_text().splitlines()[-1]


def test_a_guard_that_leaves_ends_the_loop_with_its_word(paths, monkeypatch):
    monkeypatch.setattr(evaluations, "evaluate", lambda *_: None)

    def guard(planned, make):
        if planned.eval_id == "b":
            raise LeaveError("owned", "made by job 7")
        make()

    made = []
    result = evaluate_missing(paths, _run("a", "b", "c"), Watch(on_evaluation=made.append), guard)
    assert (result, made) == (Result("owned", "made by job 7", 1), ["a"])


def test_a_request_to_stop_comes_before_the_next_one(paths):
    result = evaluate_missing(paths, _run("a"), Watch(should_stop=lambda: "SIGTERM"))
    assert result == Result("stopped", "SIGTERM")
