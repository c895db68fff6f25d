"""results/studies/<name>/: a study as it was last run or submitted, and its runs."""

from __future__ import annotations

from typing import Any

from dit_core.errors import RecordError, UserError, nearest
from dit_core.records.disk.files import read_json, write_atomic, write_json
from dit_core.records.paths import Store
from dit_core.study.price import predict
from dit_core.study.price.predict import Calibration
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science

SCHEMA = 1


def write_plan(
    store: Store,
    name: str,
    text: str,
    runs: tuple[Run, ...],
    calibration: Calibration | None = None,
) -> None:
    """Keep the study's text and runs and, with a calibration, their predicted device-hours.

    Runs of an earlier version of the study stay where they are. Without a calibration a run that
    was predicted before, with the same evaluations, keeps that prediction.
    """
    before = {} if calibration else {entry["run_id"]: entry for entry in _entries(store, name)}
    entries = [
        run_record(run) | _predicted(run, calibration, before.get(run.run_id, {})) for run in runs
    ]
    write_atomic(store.study_yaml(name), text.encode())
    write_json(store.plan(name), {"schema": SCHEMA, "study": name, "runs": entries})


def _predicted(
    run: Run, calibration: Calibration | None, before: dict[str, Any]
) -> dict[str, float]:
    """Return the predicted device-hours of a run's training and evaluations; empty if unknown."""
    if calibration is not None:
        training = predict.train_s(calibration, run.science)
        evaluating = predict.run_s(calibration, run) - training
        return {"predicted_hours": training / 3600, "predicted_eval_hours": evaluating / 3600}
    if set(before.get("evaluations", ())) != {planned.eval_id for planned in run.evaluations}:
        return {}
    return {
        key: before[key] for key in ("predicted_hours", "predicted_eval_hours") if key in before
    }


def read_plan(store: Store, name: str) -> tuple[Run, ...]:
    """Return the runs of a study; raise UserError naming the known studies if it has none."""
    try:
        record = read_json(store.plan(name))
    except (FileNotFoundError, NotADirectoryError):
        known = study_names(store)
        raise UserError(
            f"no study {name!r} in {store.root}{nearest(name, known)}; "
            f"there {'are ' + ', '.join(known) if known else 'is none yet'}: `ditlab run STUDY` "
            "makes one"
        ) from None
    return tuple(run_of(entry) for entry in record["runs"])


def planned_names(store: Store, name: str) -> dict[str, str]:
    """Return {run id: name} of a study as it was last run or submitted; empty if it never was."""
    return {entry["run_id"]: entry["name"] for entry in _entries(store, name)}


def _entries(store: Store, name: str) -> list[dict[str, Any]]:
    """Return the runs of a study's plan as recorded; empty where it has none yet."""
    try:
        found: list[dict[str, Any]] = read_json(store.plan(name))["runs"]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (RecordError, KeyError, TypeError):
        return []  # torn: it is about to be written again
    return found


def study_names(store: Store) -> list[str]:
    """Return the names of all studies in the store."""
    return [path.parent.name for path in store.plans()]


def run_record(run: Run) -> dict[str, Any]:
    """Return a run as plain values; `run_of` is the inverse."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "swept": run.swept,
        "science": ids.canonical(run.science),
        "execution": run.execution.model_dump(exclude_defaults=True),
        "snapshots": list(run.snapshots),
        "evaluations": {e.eval_id: ids.canonical(e.evaluation) for e in run.evaluations},
    }


def run_of(record: dict[str, Any]) -> Run:
    """Return the run of a record made by `run_record`."""
    return Run(
        run_id=record["run_id"],
        name=record["name"],
        science=Science.model_validate(record["science"]),
        execution=Execution.model_validate(record["execution"]),
        evaluations=tuple(
            PlannedEvaluation(key, record["run_id"], Evaluation.model_validate(value))
            for key, value in record["evaluations"].items()
        ),
        snapshots=tuple(record["snapshots"]),
        swept=record["swept"],
    )
