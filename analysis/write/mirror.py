"""A study's curves and results for other viewers: TensorBoard, MLflow, Weights & Biases.

Copies, never the record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.select.differ import metric_names
from analysis.tables import load
from analysis.tables.columns import science_columns
from dit_core.errors import EnvironmentProblem, UserError

ROW_KEYS = ("run_id", "attempt", "images", "step")


@dataclass(frozen=True, slots=True)
class RunView:
    """One run for a viewer: name, science as flat settings, (tag, images, value) points."""

    run_id: str
    name: str
    settings: dict[str, Any]
    points: list[tuple[str, int, float]]


def views(study: str, results: Path | str | None = None) -> Iterator[RunView]:
    """Yield the runs of a study; raise UserError where it has no results."""
    runs, curves, measured = (f(results, study) for f in (load.runs, load.metrics, load.evals))
    curve_of = dict(list(curves.groupby("run_id")))
    evals_of = dict(list(measured.groupby("run_id")))
    science = [c.name for c in science_columns()]
    for row in runs.to_dict("records"):
        settings = {
            k: row[k]
            for k in (*science, "params", "fwd_gmacs", "train_flops")
            if not _missing(row[k])
        }
        points = [
            *_curve_points(curve_of.get(row["run_id"])),
            *_eval_points(evals_of.get(row["run_id"])),
        ]
        yield RunView(row["run_id"], str(row["name"] or row["run_id"]), settings, points)


def to_tensorboard(study: str, folder: Path, results: Path | str | None = None) -> int:
    """Write one event folder per run below `folder`, which must be new; return their number.

    Appending to event files of an earlier export would double every point.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; give a new folder, or remove it first")
    count = 0
    for view in views(study, results):
        writer = EventFileWriter(str(folder / _file_name(view.name)))
        for tag, images, value in view.points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.add_event(Event(step=images, summary=summary))
        writer.close()
        count += 1
    return count


def to_mlflow(study: str, uri: str, results: Path | str | None = None) -> int:
    """Mirror a study as one MLflow experiment at `uri`; a run mirrored before is replaced.

    Needs the extra `mlflow`.
    """
    try:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise EnvironmentProblem("MLflow is not installed: pip install 'ditlab[mlflow]'") from None
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(study)
    number = experiment.experiment_id if experiment else client.create_experiment(study)
    count = 0
    for view in views(study, results):
        for old in client.search_runs([number], filter_string=f"tags.ditlab_run = '{view.run_id}'"):
            client.delete_run(old.info.run_id)
        tags = {"ditlab_run": view.run_id, "mlflow.runName": view.name}
        run = client.create_run(number, tags=tags).info.run_id
        metrics = [Metric(_tag(tag), value, 0, images) for tag, images, value in view.points]
        parameters = [Param(key, str(value)) for key, value in view.settings.items()]
        for start in range(0, max(len(metrics), 1), 900):
            client.log_batch(
                run, metrics=metrics[start : start + 900], params=parameters if start == 0 else []
            )
        client.set_terminated(run)
        count += 1
    return count


def to_wandb(study: str, project: str, results: Path | str | None = None) -> int:
    """Mirror a study as runs of a Weights & Biases project, offline if WANDB_MODE says so.

    Needs the extra `wandb`.
    """
    try:
        import wandb
    except ImportError:
        raise EnvironmentProblem(
            "Weights & Biases is not installed: pip install 'ditlab[wandb]'"
        ) from None
    count = 0
    for view in views(study, results):
        run = wandb.init(
            project=project,
            group=study,
            name=view.name,
            id=view.run_id,
            config=view.settings,
            reinit=True,
        )
        by_images: dict[int, dict[str, float]] = {}
        for tag, images, value in view.points:
            by_images.setdefault(images, {})[tag] = value
        for images in sorted(by_images):
            run.log({**by_images[images], "images_seen": images}, step=images)
        run.finish()
        count += 1
    return count


def _curve_points(curve: pd.DataFrame | None) -> Iterator[tuple[str, int, float]]:
    if curve is None:
        return
    names = [
        c for c in curve.columns if c not in ROW_KEYS and pd.api.types.is_float_dtype(curve[c])
    ]
    for row in curve.to_dict("records"):
        for name in names:
            if not _missing(row[name]):
                yield f"train/{name}", int(row["images"]), float(row[name])


def _eval_points(measured: pd.DataFrame | None) -> Iterator[tuple[str, int, float]]:
    """Yield each metric under a tag that tells its sampler settings apart."""
    for row in measured.to_dict("records") if measured is not None else ():
        for name in metric_names(row):
            if not _missing(row[name]):
                tag = f"{row['protocol']}/{name} ({_settings(row)})"
                yield tag, int(row["images_seen"]), float(row[name])


def _settings(row: dict[str, Any]) -> str:
    how = f"{row['sampler']}-{row['steps']}, guidance {row['guidance']:g}"
    return f"{how}, {row['samples']} samples"


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _file_name(name: str) -> str:
    return (
        "".join(c if c.isalnum() or c in "=,._+-" else "_" for c in name)[:200].lstrip(".") or "run"
    )


def _tag(tag: str) -> str:
    """Return a tag in the letters MLflow allows in a metric's name."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in tag)
