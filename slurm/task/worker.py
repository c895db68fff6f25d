"""What runs in a task, `python -m slurm.task.worker PAYLOAD`: trains, evaluates, saves on a signal.

Exit codes: 0 done · 1 failed · 3 diverged, so that no evaluation follows · 75 stopped or left to
another owner · 76 taken over by another while it stood still · 78 the code or the orders are not
what was submitted. None of them decides anything: the records in the results folder do.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dit_core.errors import DitlabError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk import lease
from dit_core.records.disk.fence import Superseded
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.records.run_state import has_snapshot
from dit_core.study.science.run import PlannedEvaluation, Run
from slurm.orders import snapshot
from slurm.orders.intent import Intent
from slurm.orders.payload import Item, Payload, read_payload, read_runs
from slurm.scheduler.commands import ask
from slurm.standing.progress import out_of_patience
from slurm.task.followers import Followers
from slurm.task.place import Place
from slurm.task.stop import Interrupted, Stop

if TYPE_CHECKING:
    from dit_core.executor.watch import Result
    from dit_core.training.distributed import Group

DONE = 0
FAILED = 1
DIVERGED = 3
STOPPED = 75
SUPERSEDED = 76
UNFIT = 78
_CODES = {
    "done": DONE,
    "failed": FAILED,
    "diverged": DIVERGED,
    "stopped": STOPPED,
    "owned": STOPPED,
    "superseded": SUPERSEDED,
}
OWNED_WAIT_S = 600.0


@dataclass
class Worker:
    """One task at work."""

    payload: Payload
    store: Store
    place: Place
    stop: Stop
    say: Callable[[str], None]
    followers: Followers
    group: Group

    def work(self, runs: dict[str, Run]) -> int:
        """Do every item of this task; return the exit code."""
        worst = DONE
        items = self.payload.task(self.place.index)
        for number, item in enumerate(items, start=1):
            result = self._item(item, runs[item.run])
            self.say(f"run {item.run}: {result.how}{f': {result.reason}' if result.reason else ''}")
            if result.how == "superseded":
                return SUPERSEDED  # who took over this run may have taken over the task
            unfinished = result.how in ("stopped", "owned")
            # Nothing waits for an evaluation: one that is left for later is no failure that Slurm
            # should remember.
            worst = max(worst, DONE if unfinished and not item.train else _CODES[result.how])
            if self.stop() is not None and (unfinished or number < len(items)):
                self._ask_again()
                return STOPPED if item.train else DONE
        return worst

    def _item(self, item: Item, run: Run) -> Result:
        from dit_core.executor.watch import Result

        planned = tuple(e for e in run.evaluations if e.eval_id in item.evals)
        run = replace(run, evaluations=planned)
        if not item.train:
            return self._evaluate(run) if self.place.rank == 0 else Result("done")
        if self.place.rank == 0 and (why := self._refusal(run)) is not None:
            return Result("failed", why)
        return self._train(run)

    def _refusal(self, run: Run) -> str | None:
        """Return why this run shall not be tried again, after making that its outcome."""
        paths = self.store.run(run.run_id)
        outcome = read_outcome(paths)
        if outcome is not None and outcome.outcome != "FAILED":
            return None
        if lease.holder(paths.lease) is not None:
            return None
        why = out_of_patience(paths)
        if why is not None:
            attempts = read_attempts(paths)
            last = attempts[-1] if attempts else {"attempt": 0}
            images = last.get("images_start") or 0
            write_outcome(paths, Outcome("FAILED", why, images, last["attempt"]))
        return why

    def _train(self, run: Run) -> Result:
        from dit_core.executor.one_run import execute_run
        from dit_core.executor.watch import Watch

        watch = Watch(
            should_stop=self.stop,
            on_progress=lambda images, rate: self.followers.look(),
            on_evaluation=lambda eval_id: self.say(f"run {run.run_id}: evaluation {eval_id} made"),
            group=self.group,
            job=self.place.job,
        )
        deadline = time.monotonic() + OWNED_WAIT_S
        while True:
            result = execute_run(self.store, run, watch)
            # The scheduler started this task anew because it believes the old one dead. Where that
            # one still lives (its node only lost the controller), wait for its end; a run of
            # another job is left to it at once.
            if result.how != "owned" or not self._is_mine(run) or time.monotonic() > deadline:
                return result
            if self.stop() is not None:
                return result
            time.sleep(1.0)

    def _is_mine(self, run: Run) -> bool:
        owner = lease.holder(self.store.run(run.run_id).lease)
        return owner is None or owner.get("job") == self.place.job

    def _evaluate(self, run: Run) -> Result:
        from dit_core.executor.evaluations import evaluate_missing
        from dit_core.executor.watch import Result, Watch

        paths = self.store.run(run.run_id)
        watch = Watch(should_stop=self.stop, job=self.place.job)
        try:
            return evaluate_missing(paths, run, watch, partial(self._claimed, paths))
        except Superseded as late:
            return Result("superseded", str(late))

    def _claimed(
        self, paths: RunPaths, planned: PlannedEvaluation, make: Callable[[], None]
    ) -> None:
        """Make one evaluation under its own lease: other tasks may train or measure the same run.

        Raises LeaveError where its weights are not there, another task has it, or a signal came.
        """
        from dit_core.executor.evaluations import LeaveError

        if not has_snapshot(paths, planned.evaluation.images_seen):
            outcome = read_outcome(paths)
            if outcome is not None and outcome.outcome == "DIVERGED":
                raise LeaveError("diverged", "the training diverged: there is nothing to evaluate")
            point = planned.evaluation.images_seen
            raise LeaveError("stopped", f"the weights after {point} images are not there yet")
        try:
            claim = lease.acquire(paths.eval_lease(planned.eval_id), job=self.place.job)
        except lease.LeaseHeld as held:
            why = f"evaluation {planned.eval_id} is made by job {held.owner.get('job')}"
            raise LeaveError("owned", why) from None
        try:
            self.stop.interruptible = True
            make()
        except Interrupted as signalled:
            raise LeaveError("stopped", str(signalled)) from None
        finally:
            self.stop.interruptible = False
            claim.release()

    def _ask_again(self) -> None:
        """Have Slurm requeue this task, where the profile says so and Slurm is not ending it."""
        if self.place.rank == 0 and self.payload.requeue == "slurm":
            try:
                self._requeue()
            except DitlabError as error:
                self.say(f"saved; Slurm could not be asked to requeue this task: {error}")

    def _requeue(self) -> None:
        state = ask("squeue", "-h", "-j", self.place.raw_job, "-o", "%T")
        # Preempted or cancelled, it is COMPLETING by now: the first comes back by itself, the
        # second must not.
        if state.ok and state.out.strip() == "RUNNING":
            for pause_s in (0.0, 1.0, 3.0):
                time.sleep(pause_s)
                if ask("scontrol", "requeue", self.place.raw_job).ok:
                    self.say("asked Slurm to requeue this task")
                    return
        self.say("saved; `ditlab submit` resumes it unless Slurm brings the task back")


def main() -> None:
    """Do one task and leave with its exit code."""
    intent = Intent(Path(sys.argv[1]).parent)
    place = Place.here()
    try:
        payload = read_payload(intent.payload)
        _check_code(payload)
        if intent.withdrawn():
            _say("this submission was withdrawn and its runs submitted again: nothing to do")
            raise SystemExit(DONE)
        wanted = {item.run for item in payload.task(place.index)}
        runs = read_runs(intent.runs, wanted)
    except (DitlabError, snapshot.CodeChangedError, OSError) as error:
        _say(f"error: {error}")
        raise SystemExit(UNFIT) from None
    stop = Stop().listen()
    start = int(os.environ.get("SLURM_RESTART_COUNT") or 0) + 1
    _say(f"job {place.job}, start {start}, process {place.rank} of {place.world}")
    raise SystemExit(_work(payload, intent.folder.parent, place, stop, runs))


def _work(payload: Payload, intents: Path, place: Place, stop: Stop, runs: dict[str, Run]) -> int:
    import torch

    from dit_core.device import device_of
    from dit_core.training import distributed

    execution = next(iter(runs.values())).execution
    torch.set_num_threads(execution.threads or int(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
    place.name_the_group()
    device = device_of(execution.device)
    if device.type == "cuda" and place.world > 1:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    group = distributed.join(device)
    store = Store.at(payload.results)
    waiting = [Intent(intents / uuid) for uuid in payload.followers] if place.rank == 0 else []
    followers = Followers(store, waiting, place.index, _say)
    code = Worker(payload, store, place, stop, _say, followers, group).work(runs)
    if code in (FAILED, SUPERSEDED) and place.world > 1:
        # the others may wait in a collective for ever: leave hard, and srun ends them
        sys.stdout.flush()
        os._exit(code)
    distributed.leave()
    return code


def _check_code(payload: Payload) -> None:
    folder = Path(payload.code["folder"])
    snapshot.verify(folder, payload.code["sha256"])
    if not Path(__file__).resolve().is_relative_to(folder.resolve()):
        raise snapshot.CodeChangedError(
            f"{__file__}: this is not the code that was submitted ({folder}); a set-up line of the "
            "profile, or PYTHONPATH, puts another copy first"
        )


def _say(line: str) -> None:
    print(f"ditlab: {line}", flush=True)


if __name__ == "__main__":
    main()
