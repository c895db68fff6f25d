"""What is to be submitted, and why: pure, from how everything stands to the arrays to ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dit_core.records.run_state import RunState, whole_run
from dit_core.study.science.run import Run
from slurm.orders.payload import Item
from slurm.scheduler.profile import Profile
from slurm.standing.standing import LIVE, Facts, Standing, stand, stand_eval

T = TypeVar("T")

# Which standings are taken up (again) by a submission; all others are left alone, each for its own
# reason.
TAKEN_UP = ("new", "stopped", "lost")


@dataclass(frozen=True, slots=True)
class Row:
    """One run of the decision: how it and its evaluations stand, and what is done about them."""

    run: Run
    training: Standing
    evals: dict[str, Standing]
    train: bool
    evaluate: tuple[str, ...]
    """Evaluations to submit: with their training where `train` is set, else of weights that are
    there.
    """
    follow: tuple[str, ...]
    """Evaluations to submit behind the training task that is in the queue already."""
    action: str
    """"train", "train + 2 evaluations", "2 evaluations" or "-"."""

    @property
    def state(self) -> RunState:
        """Return the state of the whole run: "trained" where only evaluations are missing."""
        made = sum(standing.word == "done" for standing in self.evals.values())
        word = whole_run(self.training.word, made, len(self.run.evaluations))
        return RunState(word, self.training.why, made)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about every run of a study, in the order of its file."""

    rows: tuple[Row, ...]

    @property
    def to_do(self) -> tuple[Row, ...]:
        """Return the rows for which something is submitted."""
        return tuple(row for row in self.rows if row.train or row.evaluate or row.follow)


@dataclass(frozen=True, slots=True)
class Array:
    """Tasks that one sbatch call requests; all need the same number of processes.

    `follows` is the position, among the arrays of a decision, of the training array whose task of
    the same index must have ended well; `after` is the id of such an array that is in the queue
    already. Both None: nothing is waited for.
    """

    tasks: tuple[tuple[Item, ...], ...]
    indices: tuple[int, ...]
    processes: int
    evaluates: bool = False
    follows: int | None = None
    after: str | None = None


def decide(runs: Iterable[Run], facts: Mapping[str, Facts]) -> Decision:
    """Return what to submit; what is live, has a result or was cancelled is left alone."""
    rows = []
    for run in runs:
        known = facts[run.run_id]
        training = stand(known)
        evals = {
            planned.eval_id: stand_eval(known, known.evals[planned.eval_id], training)
            for planned in run.evaluations
            if planned.eval_id in known.evals
        }
        train = training.word in TAKEN_UP
        now, later = _to_measure(known, training, evals)
        rows.append(Row(run, training, evals, train, now, later, _action(train, len(now + later))))
    return Decision(tuple(rows))


def _to_measure(
    known: Facts, training: Standing, evals: dict[str, Standing]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the evaluations to submit now, and those to submit behind a task in the queue."""
    todo = tuple(k for k, s in evals.items() if s.word in TAKEN_UP)
    if training.word in (*TAKEN_UP, "done"):
        return todo, ()
    if training.word not in LIVE:
        return (), ()
    now = tuple(k for k in todo if known.evals[k].weights)
    later = tuple(k for k in todo if k not in now)
    return now, later if training.task and "_" in training.task else ()


def arrange(decision: Decision, profile: Profile, most_tasks: int) -> tuple[Array, ...]:
    """Return the arrays that carry a decision out, none with more than `most_tasks` tasks.

    A training array is followed at once by the arrays of its evaluations, one per training point
    that is measured, index by index. Evaluations whose weights are there wait for nothing.
    """
    arrays: list[Array] = []
    for processes, rows in _by_processes(decision).items():
        training = [row for row in rows if row.train]
        for chunk in _chunks(_chunks(training, profile.runs_per_job), most_tasks):
            position = len(arrays)
            together = profile.evaluations == "together"
            tasks = tuple(tuple(_item(row, together) for row in task) for task in chunk)
            arrays.append(Array(tasks, tuple(range(len(tasks))), processes))
            if not together:
                arrays += _followers(chunk, position)
    arrays += _behind(decision)
    free = [row for row in decision.rows if not row.train and row.evaluate]
    points = [
        Item(row.run.run_id, False, group)
        for row in free
        for group in _by_point(row, row.evaluate).values()
    ]
    for measured in _chunks(_chunks(points, profile.runs_per_job), most_tasks):
        tasks = tuple(tuple(task) for task in measured)
        arrays.append(Array(tasks, tuple(range(len(tasks))), 1, evaluates=True))
    return tuple(arrays)


def _item(row: Row, together: bool) -> Item:
    return Item(row.run.run_id, True, row.evaluate if together else ())


def _followers(chunk: list[list[Row]], position: int) -> list[Array]:
    """Return an array per training point: the k-th holds the k-th measured point of every run."""
    grouped = [[list(_by_point(row, row.evaluate).values()) for row in task] for task in chunk]
    depth = max((len(points) for task in grouped for points in task), default=0)
    arrays = []
    for k in range(depth):
        tasks: dict[int, tuple[Item, ...]] = {}
        for index, (task, points) in enumerate(zip(chunk, grouped, strict=True)):
            items = tuple(
                Item(row.run.run_id, False, p[k])
                for row, p in zip(task, points, strict=True)
                if k < len(p)
            )
            if items:
                tasks[index] = items
        arrays.append(
            Array(tuple(tasks.values()), tuple(tasks), 1, evaluates=True, follows=position)
        )
    return arrays


def _behind(decision: Decision) -> list[Array]:
    """Return an array of evaluations behind each training job in the queue, index by index."""
    jobs: dict[str, dict[int, tuple[Item, ...]]] = {}
    for row in decision.rows:
        if row.follow and row.training.task is not None:
            job, _, index = row.training.task.partition("_")
            tasks = jobs.setdefault(job, {})
            tasks[int(index)] = (
                *tasks.get(int(index), ()),
                Item(row.run.run_id, False, row.follow),
            )
    arrays = []
    for job, tasks in jobs.items():
        indices = tuple(sorted(tasks))
        arrays.append(
            Array(tuple(tasks[i] for i in indices), indices, 1, evaluates=True, after=job)
        )
    return arrays


def _by_point(row: Row, wanted: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Return some evaluations of a run by training point, ascending."""
    groups: dict[int, tuple[str, ...]] = {}
    for planned in sorted(row.run.evaluations, key=lambda p: p.evaluation.images_seen):
        if planned.eval_id in wanted:
            point = planned.evaluation.images_seen
            groups[point] = (*groups.get(point, ()), planned.eval_id)
    return groups


def _by_processes(decision: Decision) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = {}
    for row in decision.rows:
        groups.setdefault(row.run.execution.processes, []).append(row)
    return groups


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _action(train: bool, evaluations: int) -> str:
    measured = f"{evaluations} evaluation{'s' if evaluations > 1 else ''}"
    if train:
        return f"train + {measured}" if evaluations else "train"
    return measured if evaluations else "-"
