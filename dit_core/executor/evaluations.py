"""The evaluations of a run that have no record yet: the one loop over them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from functools import partial

from dit_core.evaluate.one_evaluation import evaluate
from dit_core.executor.watch import Result, Watch
from dit_core.records.disk.fence import Superseded
from dit_core.records.disk.files import write_atomic
from dit_core.records.paths import RunPaths
from dit_core.records.run_state import has_record
from dit_core.study.science.run import PlannedEvaluation, Run

# Calls its second argument, which makes the evaluation, under whatever claim the caller needs.
Guard = Callable[[PlannedEvaluation, Callable[[], None]], None]


class LeaveError(Exception):
    """A guard's word that no further evaluation is to be made now; carries the result."""

    def __init__(self, how: str, reason: str | None) -> None:
        super().__init__(reason)
        self.how = how
        self.reason = reason


def unguarded(planned: PlannedEvaluation, make: Callable[[], None]) -> None:
    """Make the evaluation at once: for a caller that owns the whole run."""
    make()


def evaluate_missing(paths: RunPaths, run: Run, watch: Watch, guard: Guard = unguarded) -> Result:
    """Make every planned evaluation of `run` that has no record; return how that ended.

    An evaluation that fails leaves its trace in its error file and does not stop the others; the
    result is then "failed" with one reason each. A `LeaveError` of the guard ends the loop.
    """
    troubles = []
    made = 0
    for planned in run.evaluations:
        if has_record(paths, planned.eval_id):
            continue
        if (reason := watch.should_stop()) is not None:
            return Result("stopped", reason, made)
        try:
            guard(planned, partial(_make, paths, run, planned))
        except LeaveError as left:
            return Result(left.how, left.reason, made)
        except Superseded:
            raise  # nothing of this process counts any more, its errors neither
        except Exception as error:
            troubles.append(_note(paths, planned.eval_id, error))
        else:
            made += 1
            watch.on_evaluation(planned.eval_id)
    if troubles:
        return Result("failed", "; ".join(troubles), made)
    return Result("done", None, made)


def _make(paths: RunPaths, run: Run, planned: PlannedEvaluation) -> None:
    evaluate(paths, run.science, planned, run.execution)


def _note(paths: RunPaths, eval_id: str, error: Exception) -> str:
    """Write the trace of a failed evaluation beside its record; return the reason in one line."""
    with contextlib.suppress(OSError):  # on a full disk the reason has to do
        write_atomic(paths.eval_error(eval_id), "".join(traceback.format_exception(error)).encode())
    # An exception without words (a bare assert, a library's MemoryError) is named by its type.
    return f"evaluation {eval_id}: {str(error) or type(error).__name__}"
