"""What a task is told: which runs, whether to train, which evaluations.

Plain JSON, written before sbatch is called.

`payload.json` names run ids only; what they mean stands in `runs.jsonl` beside it and is held
against the ids by hash.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.files import read_json
from dit_core.records.plan import run_of, run_record
from dit_core.study.science import ids
from dit_core.study.science.run import Run

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One run's share of a task: train it or not, then make these evaluations."""

    run: str
    train: bool
    evals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """One array. `tasks[k]` is what the task with array index `indices[k]` does, in order.

    `code` holds folder, sha256 and commit of the code to run; `requeue` says who brings a stopped
    task back; `followers` are the intents of the evaluation arrays that wait for this one, index by
    index.
    """

    uuid: str
    study: str
    results: str
    code: dict[str, str]
    requeue: str
    tasks: tuple[tuple[Item, ...], ...]
    indices: tuple[int, ...]
    processes: int = 1
    followers: tuple[str, ...] = ()

    def task(self, index: int) -> tuple[Item, ...]:
        """Return what the task with this array index does; raise RecordError if none has it."""
        try:
            return self.tasks[self.indices.index(index)]
        except ValueError:
            raise RecordError(
                f"payload {self.uuid} has no task {index}; it has {len(self.tasks)}"
            ) from None


def encode_payload(payload: Payload) -> dict[str, Any]:
    """Return the payload as plain values."""
    return {"schema": SCHEMA, **asdict(payload)}


def read_payload(path: Path) -> Payload:
    """Return the payload in the file at `path`.

    Raises RecordError where it is torn or of another schema.
    """
    raw = read_json(path)
    try:
        raw.pop("made", None)
        if raw.pop("schema") != SCHEMA:
            raise RecordError(f"{path}: written by another version of ditlab; submit again")
        tasks = tuple(
            tuple(Item(i["run"], i["train"], tuple(i["evals"])) for i in task)
            for task in raw.pop("tasks")
        )
        return Payload(
            tasks=tasks,
            indices=tuple(raw.pop("indices")),
            followers=tuple(raw.pop("followers")),
            **raw,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: is no payload ({error})") from error


def encode_run(run: Run) -> str:
    """Return a run as one line of JSON, its id first."""
    return json.dumps(run_record(run), separators=(",", ":"), allow_nan=False) + "\n"


def read_runs(path: Path, wanted: set[str]) -> dict[str, Run]:
    """Return the wanted runs of a runs.jsonl.

    Raises RecordError where one is missing or its hash is not its id.
    """
    found: dict[str, Run] = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if (
                line[11:27] in wanted
            ):  # the id comes first in every line; parsing all of them would be slow
                found[line[11:27]] = _checked(_parsed(line, path), path)
    if missing := wanted - found.keys():
        raise RecordError(f"{path}: does not define run {', '.join(sorted(missing))}")
    return found


def _parsed(line: str, path: Path) -> Run:
    try:
        return run_of(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        words = " ".join(str(error).split())[:200]
        raise RecordError(f"{path}: a line is no run ({words}); submit again") from error


def _checked(run: Run, path: Path) -> Run:
    if ids.run_id(run.science) != run.run_id:
        raise RecordError(
            f"{path}: the science of run {run.run_id} gives another id: the file was altered"
        )
    for planned in run.evaluations:
        if ids.eval_id(run.run_id, planned.evaluation) != planned.eval_id:
            raise RecordError(
                f"{path}: evaluation {planned.eval_id} gives another id: the file was altered"
            )
    return run
