"""One run from its claim to its last evaluation: what the local executor and a Slurm task call."""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import replace

from dit_core.data.load import Dataset, load_data
from dit_core.data.places import place_of
from dit_core.data.same import require_same_data
from dit_core.device import device_of
from dit_core.errors import DitlabError
from dit_core.executor.allocator import is_out_of_memory
from dit_core.executor.evaluations import evaluate_missing
from dit_core.executor.processes import gathered
from dit_core.executor.watch import Result, Watch
from dit_core.records.attempt import Attempt, silent_attempt, start_attempt
from dit_core.records.disk import bundle, lease
from dit_core.records.disk.fence import Superseded, publishing
from dit_core.records.disk.files import write_atomic
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.records.run_record import open_run
from dit_core.records.run_state import has_record, has_snapshot
from dit_core.study.price.disk import kept_points
from dit_core.study.science.run import Run
from dit_core.training.train import Ending, Surroundings, train


def execute_run(store: Store, run: Run, watch: Watch | None = None) -> Result:
    """Train `run` unless it is done, then make its missing evaluations; return how it ended.

    Work that another living process owns is left to it. An exception of the run's own becomes
    "failed" with its last lines in the attempt's log; it never reaches the caller.
    """
    watch = watch or Watch()
    paths = store.run(run.run_id)
    if watch.group.rank > 0:
        return _help_along(paths, run, watch)
    try:
        claim = lease.acquire(paths.lease, job=watch.job)
    except (DitlabError, OSError) as error:
        watch.group.announce(False)
        return Result("owned" if isinstance(error, lease.LeaseHeld) else "failed", str(error))
    try:
        return _claimed(paths, run, _leaving_with(claim, watch))
    except Superseded as late:
        return Result("superseded", str(late))
    except (DitlabError, OSError) as error:
        return Result("failed", str(error))
    finally:
        with contextlib.suppress(OSError, DitlabError):
            claim.release()


def _claimed(paths: RunPaths, run: Run, watch: Watch) -> Result:
    settled = _settled(paths, run)
    watch.group.announce(settled is None)
    result = settled or _train(paths, run, watch)
    return result if result.how != "done" else evaluate_missing(paths, run, watch)


def _leaving_with(claim: lease.Lease, watch: Watch) -> Watch:
    """Return the watch of a process that also stops once another has taken its claim over."""
    gone = "another process took this run over"
    return replace(watch, should_stop=lambda: gone if claim.lost else watch.should_stop())


def _settled(paths: RunPaths, run: Run) -> Result | None:
    """Return how the training ended where there is nothing to train, else None."""
    try:
        open_run(paths, run.science)
        settled = _settled_by_outcome(paths, run)
        if settled is None:
            roots = run.execution.data_roots
            require_same_data(paths, run.science.data, roots, record=True)
        return settled
    except DitlabError as error:
        return Result("failed", str(error))


def _settled_by_outcome(paths: RunPaths, run: Run) -> Result | None:
    outcome = read_outcome(paths)
    if outcome is not None and outcome.outcome == "DIVERGED":
        return Result("diverged", outcome.reason)
    if outcome is not None and outcome.outcome == "DONE":
        needed = {
            e.evaluation.images_seen for e in run.evaluations if not has_record(paths, e.eval_id)
        }
        # Weights that are about to be measured are re-hashed; where they are altered, training
        # makes them again. A point at which none were ever kept is no reason to train: its
        # evaluation says what can be had instead.
        kept = {
            i for i in needed if paths.snapshot(i).exists() or i in kept_points(run.science, ())
        }
        altered = [images for images in kept if not has_snapshot(paths, images)]
        if not altered:
            return Result("done")
        _go_back_before(paths, min(altered))
    if run.science.train.imported is not None:
        return Result(
            "failed",
            f"{paths.root}: imported weights are gone or altered; `ditlab import` them again",
        )
    return None


def _go_back_before(paths: RunPaths, images_seen: int) -> None:
    """Make the training resume before `images_seen`, so that it makes the weights there again."""
    for folder in sorted(paths.checkpoints.glob("[0-9]*")):
        if int(folder.name) >= images_seen:
            bundle.remove(folder)
    with publishing(paths.outcome):
        paths.outcome.unlink()


def _train(paths: RunPaths, run: Run, watch: Watch) -> Result:
    attempt = start_attempt(paths, device=str(device_of(run.execution.device)), job=watch.job)
    try:
        with gathered(paths, run, watch.group) as group:
            around = _surroundings(paths, attempt, run, replace(watch, group=group))
            ending = train(run.science, _data_of(run), around)
    except Superseded:
        raise
    except Exception as error:
        return _failed(paths, attempt, error)
    return _ended(paths, attempt, ending)


def _help_along(paths: RunPaths, run: Run, watch: Watch) -> Result:
    """Train this process's share if the first process finds that there is one; write nothing."""
    if not watch.group.announce():
        return Result("done")
    ending = take_share(paths, run, watch)
    return Result(ending.how, ending.reason)


def take_share(paths: RunPaths, run: Run, watch: Watch) -> Ending:
    """Train as one process of `watch.group` that is not the first; write nothing.

    Return how the training ended.
    """
    return train(
        run.science, _data_of(run), _surroundings(paths, silent_attempt(paths), run, watch)
    )


def _surroundings(paths: RunPaths, attempt: Attempt, run: Run, watch: Watch) -> Surroundings:
    return Surroundings(
        paths=paths,
        attempt=attempt,
        execution=run.execution,
        device=device_of(run.execution.device),
        snapshots=kept_points(run.science, run.snapshots),
        group=watch.group,
        should_stop=watch.should_stop,
        on_progress=watch.on_progress,
    )


def _data_of(run: Run) -> Dataset:
    data = run.science.data
    return load_data(data, place_of(data.name, run.execution.data_roots))


def _ended(paths: RunPaths, attempt: Attempt, ending: Ending) -> Result:
    attempt.end(ending.how, images_seen=ending.images_seen, reason=ending.reason)
    if ending.how != "stopped":
        word = {"done": "DONE", "diverged": "DIVERGED"}[ending.how]
        write_outcome(paths, Outcome(word, ending.reason, ending.images_seen, attempt.number))
    return Result(ending.how, ending.reason)


def _failed(paths: RunPaths, attempt: Attempt, error: Exception) -> Result:
    """Record a failure: the whole trace in the attempt's log, one line as the reason."""
    reason = str(error) if isinstance(error, DitlabError) else f"{type(error).__name__}: {error}"
    if not str(error):
        reason = type(error).__name__  # nothing would stand behind the colon
    if is_out_of_memory(error):
        first = reason.splitlines()[0]
        reason = f"out of memory; set execution.micro_batch below the present one. ({first})"
    images = attempt.record["images_start"] or 0
    trace = "".join(traceback.format_exception(error)).encode()
    outcome = Outcome("FAILED", reason, images, attempt.number)
    try:
        # The outcome first: on a disk that is full, the smallest file has the best chance.
        write_outcome(paths, outcome)
        attempt.end("failed", images_seen=images, reason=reason)
        write_atomic(paths.log(attempt.number), trace)
    except OSError as full:
        reason += f" (and no more could be written: {full.strerror or full})"
    return Result("failed", reason)
