"""What runs in a task: `python -m slurm.task.worker PAYLOAD`.

Claims, verifies, trains or evaluates, saves on a signal.

Exit codes: 0 done · 1 failed · 3 diverged, so that no evaluation follows · 75 stopped or left to
another owner · 78 the code or the orders are not what was submitted. None of them decides anything:
the records in the results folder do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dit_core.errors import DitlabError
from dit_core.records.attempt import read_attempts
from dit_core.records.disk import lease
from dit_core.records.outcome import Outcome, read_outcome, write_outcome
from dit_core.records.paths import RunPaths, Store
from dit_core.records.run_state import has_record, has_snapshot
from dit_core.study.science.run import PlannedEvaluation, Run
from slurm.orders import snapshot
from slurm.orders.intent import Intent
from slurm.orders.payload import Item, Payload, read_payload, read_runs
from slurm.scheduler.commands import ask
from slurm.standing.progress import eval_lease, out_of_patience
from slurm.task.followers import Followers

DONE = 0
FAILED = 1
DIVERGED = 3
STOPPED = 75
UNFIT = 78
_CODES = {
    "done": DONE,
    "failed": FAILED,
    "diverged": DIVERGED,
    "stopped": STOPPED,
    "owned": STOPPED,
}
OWNED_WAIT_S = 600.0


class Interrupted(BaseException):
    """A signal during an evaluation, which keeps nothing in memory that is worth saving."""


@dataclass
class Stop:
    """Whether this task was told to leave.

    The handler only sets a flag, except where nothing is there to save.
    """

    reason: str | None = None
    interruptible: bool = False

    def listen(self) -> Stop:
        """Take over the signals by which Slurm says that time is up."""
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def __call__(self) -> str | None:
        """Return the reason to stop, or None."""
        return self.reason

    def _on_signal(self, number: int, frame: Any) -> None:
        self.reason = signal.Signals(number).name
        if self.interruptible:
            self.interruptible = False
            raise Interrupted(self.reason)


@dataclass(frozen=True)
class Place:
    """Where this task runs: array index, job id, process of the run."""

    index: int
    job: str
    raw_job: str
    rank: int
    world: int

    @classmethod
    def here(cls) -> Place:
        """Return the place that Slurm's environment describes."""
        env = os.environ
        index = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        array = env.get("SLURM_ARRAY_JOB_ID")
        raw = env.get("SLURM_JOB_ID", "0")
        rank = int(env.get("SLURM_PROCID", "0"))
        world = int(env.get("SLURM_NTASKS", "1"))
        return cls(index, f"{array}_{index}" if array else raw, raw, rank, world)


@dataclass
class Worker:
    """One task at work."""

    payload: Payload
    store: Store
    place: Place
    stop: Stop
    say: Callable[[str], None]
    followers: Followers
    group: Any = None

    def work(self, runs: dict[str, Run]) -> int:
        """Carry out every item of this task; return the exit code."""
        worst = DONE
        items = self.payload.task(self.place.index)
        for number, item in enumerate(items, start=1):
            how, reason = self._item(item, runs[item.run])
            self.say(f"run {item.run}: {how}{f': {reason}' if reason else ''}")
            unfinished = how in ("stopped", "owned")
            # Nothing waits for an evaluation: one that is left for later is no failure that Slurm
            # should remember.
            worst = max(worst, DONE if unfinished and not item.train else _CODES[how])
            if self.stop() is not None and (unfinished or number < len(items)):
                self._ask_again()
                return STOPPED if item.train else DONE
        return worst

    def _item(self, item: Item, run: Run) -> tuple[str, str | None]:
        planned = tuple(e for e in run.evaluations if e.eval_id in item.evals)
        if not item.train:
            return self._evaluate(run, planned) if self.place.rank == 0 else ("done", None)
        if self.place.rank == 0 and (why := self._refusal(run)) is not None:
            return "failed", why
        carried = self._train(replace(run, evaluations=planned))
        return carried.how, carried.reason

    def _refusal(self, run: Run) -> str | None:
        """Return why this run shall not be tried again, after making that its outcome."""
        paths = self.store.run(run.run_id)
        outcome = read_outcome(paths)
        if (outcome is not None and outcome.outcome != "FAILED") or lease.holder(
            paths.lease
        ) is not None:
            return None
        why = out_of_patience(paths)
        if why is not None:
            attempts = read_attempts(paths)
            last = attempts[-1] if attempts else {"attempt": 0}
            write_outcome(
                paths, Outcome("FAILED", why, last.get("images_start") or 0, last["attempt"])
            )
        return why

    def _train(self, run: Run) -> Any:
        from dit_core.executor.one_run import Watch, carry_run

        watch = Watch(
            should_stop=self.stop,
            on_progress=lambda images, rate: self.followers.look(),
            on_evaluation=lambda eval_id: self.say(f"run {run.run_id}: evaluation {eval_id} made"),
            group=self.group,
            job=self.place.job,
        )
        deadline = time.monotonic() + OWNED_WAIT_S
        while True:
            carried = carry_run(self.store, run, watch)
            # The scheduler started this task anew because it believes the old one dead. Where that
            # one lives on (its node lost the controller only), wait for its end; a task of another
            # job is left its run at once.
            if carried.how != "owned" or not self._is_mine(run) or time.monotonic() > deadline:
                return carried
            if self.stop() is not None:
                return carried
            time.sleep(1.0)

    def _is_mine(self, run: Run) -> bool:
        owner = lease.holder(self.store.run(run.run_id).lease)
        return owner is None or owner.get("job") == self.place.job

    def _evaluate(self, run: Run, planned: tuple[PlannedEvaluation, ...]) -> tuple[str, str | None]:
        from dit_core.evaluate.one_evaluation import evaluate

        paths = self.store.run(run.run_id)
        troubles = []
        for one in planned:
            if has_record(paths, one.eval_id):
                continue
            if self.stop() is not None:
                return "stopped", self.stop()
            if not has_snapshot(paths, one.evaluation.images_seen):
                return _without_weights(paths, one)
            try:
                claim = lease.acquire(eval_lease(paths, one.eval_id), job=self.place.job)
            except lease.LeaseHeld as held:
                return "owned", f"evaluation {one.eval_id} is made by job {held.owner.get('job')}"
            try:
                self.stop.interruptible = True
                evaluate(paths, run.science, one, run.execution)
            except Interrupted as signalled:
                return "stopped", str(signalled)
            except Exception as error:
                troubles.append(_note_trouble(paths, one.eval_id, error))
            finally:
                self.stop.interruptible = False
                claim.release()
        return ("failed", "; ".join(troubles)) if troubles else ("done", None)

    def _ask_again(self) -> None:
        """Have Slurm requeue this task, if that is the profile's way and Slurm has not ended it by
        itself.
        """
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
        self.say("saved; `ditlab submit` goes on from here unless Slurm brings the task back")


def main() -> None:
    """Do one task and leave with its exit code."""
    payload_file = Path(sys.argv[1])
    place = Place.here()
    try:
        payload = read_payload(payload_file)
        _check_code(payload)
        if Intent(payload_file.parent).withdrawn():
            _say(
                "this submission was withdrawn; its runs were submitted again under another job: "
                "nothing to do"
            )
            raise SystemExit(DONE)
        wanted = {item.run for item in payload.task(place.index)}
        runs = read_runs(payload_file.parent / "runs.jsonl", wanted)
    except (DitlabError, snapshot.CodeChangedError, OSError) as error:
        _say(f"error: {error}")
        raise SystemExit(UNFIT) from None
    stop = Stop().listen()
    start = int(os.environ.get("SLURM_RESTART_COUNT") or 0) + 1
    _say(f"job {place.job}, start {start}, process {place.rank} of {place.world}")
    code = _work(payload, payload_file.parents[1], place, stop, runs)
    raise SystemExit(code)


def _work(payload: Payload, intents: Path, place: Place, stop: Stop, runs: dict[str, Run]) -> int:
    import torch

    from dit_core.executor.one_run import device_of
    from dit_core.training import distributed

    first = next(iter(runs.values()))
    torch.set_num_threads(
        first.execution.threads or int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
    )
    _name_the_group(place)
    device = device_of(first.execution.device)
    if device.type == "cuda" and place.world > 1:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    group = distributed.join(device)
    store = Store.at(payload.results)
    waiting = [Intent(intents / uuid) for uuid in payload.followers] if place.rank == 0 else []
    followers = Followers(store, waiting, place.index, _say)
    code = Worker(payload, store, place, stop, _say, followers, group).work(runs)
    if code == FAILED and place.world > 1:
        sys.stdout.flush()
        os._exit(
            code
        )  # the others may wait in a collective for ever: leave hard, and srun ends them
    distributed.leave()
    return code


def _check_code(payload: Payload) -> None:
    folder = Path(payload.code["folder"])
    snapshot.verify(folder, payload.code["sha256"])
    if not Path(__file__).resolve().is_relative_to(folder.resolve()):
        raise snapshot.CodeChangedError(
            f"{__file__}: this is not the code that was submitted ({folder}); a set-up line of the "
            "profile, or "
            "PYTHONPATH, puts another copy first"
        )


def _name_the_group(place: Place) -> None:
    """Tell torch.distributed who this process is; the first node's address is where srun was
    called.
    """
    if place.world == 1:
        return
    env = os.environ
    env.update(
        RANK=str(place.rank), WORLD_SIZE=str(place.world), LOCAL_RANK=env.get("SLURM_LOCALID", "0")
    )
    env.setdefault("MASTER_ADDR", env.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
    env.setdefault("MASTER_PORT", str(15000 + int(place.raw_job) % 20000))


def _without_weights(paths: RunPaths, planned: PlannedEvaluation) -> tuple[str, str | None]:
    outcome = read_outcome(paths)
    if outcome is not None and outcome.outcome == "DIVERGED":
        return "diverged", "the training diverged: there is nothing to evaluate"
    return "stopped", f"the weights after {planned.evaluation.images_seen} images are not there yet"


def _note_trouble(paths: RunPaths, eval_id: str, error: Exception) -> str:
    import traceback

    paths.evals.mkdir(parents=True, exist_ok=True)
    (paths.evals / f"{eval_id}.error.txt").write_text("".join(traceback.format_exception(error)))
    return f"evaluation {eval_id}: {error or type(error).__name__}"


def _say(line: str) -> None:
    print(f"ditlab: {line}", flush=True)


if __name__ == "__main__":
    main()
