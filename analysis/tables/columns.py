"""The data dictionary: type, unit and meaning of every column of the result tables."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from functools import cache

import pyarrow as pa
from pydantic import BaseModel

from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data, Ddpm, Flow, Model, Train
from dit_core.study.science.unet import UNet

TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "yes/no": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `type` is text, integer, number or yes/no; no `unit` for a count or word."""

    name: str
    type: str
    unit: str
    meaning: str


UNITS = {
    "images": "images",
    "batch": "images",
    "warmup_images": "images",
    "images_seen": "images",
    "samples": "images",
    "height": "elements",
    "width": "elements",
    "patch": "elements",
}

# The models of each part of a run's science.
HALVES: dict[str, tuple[type[BaseModel], ...]] = {
    "model": (Model, UNet),
    "data": (Data,),
    "objective": (Ddpm, Flow),
    "train": (Train,),
}

_FRONT = (
    Column("run_id", "text", "", "Identity of the training: hash of its science."),
    Column(
        "study",
        "text",
        "",
        "Studies that contain the run, joined by commas; with a study given, that one.",
    ),
    Column("name", "text", "", "The run's name within its study, of the swept axes only."),
    Column("model_size", "text", "", "Name of the size (S, XL, …), else depth, width and heads."),
    Column("patch", "integer", "elements", "Patch side; the same as model_patch."),
    Column("conditioning", "text", "", "Conditioning design; the same as model_conditioning."),
    Column("objective", "text", "", "ddpm or flow; the same as objective_name."),
    Column("seed", "integer", "", "Seed of the training; the same as train_seed."),
    Column("tokens", "integer", "tokens", "Sequence length, without condition tokens."),
    Column("params", "integer", "parameters", "Trainable parameters."),
    Column(
        "fwd_gmacs",
        "number",
        "Gmacs",
        "Multiply-accumulates of one forward pass (the paper's Gflops).",
    ),
    Column(
        "train_flops",
        "number",
        "FLOPs",
        "2 x 3 x multiply-accumulates x images of the whole training.",
    ),
    Column("outcome", "text", "", "DONE, DIVERGED, FAILED, or missing while there is none."),
    Column("reason", "text", "", "Why a run failed or diverged."),
    Column("images_seen", "integer", "images", "Training point that the outcome names."),
    Column("attempts", "integer", "", "Starts of the run."),
    Column(
        "attempts_open",
        "integer",
        "",
        "Attempts without an end: running, or killed before they could write it.",
    ),
    Column(
        "device_hours",
        "number",
        "h",
        "Hours x devices of closed attempts; a lower bound while attempts_open > 0.",
    ),
    Column(
        "predicted_hours",
        "number",
        "h",
        "Device-hours of the training, as predicted when the study was started.",
    ),
    Column(
        "planned_evals", "integer", "", "Evaluations in the plans of the studies with this run."
    ),
    Column(
        "predicted_eval_hours",
        "number",
        "h",
        "Device-hours of one study's evaluations of the run, as predicted.",
    ),
)
_EVALS = (
    Column("run_id", "text", "", "The run that was measured."),
    Column("eval_id", "text", "", "Identity of the evaluation."),
)
_EVALS_END = (
    Column(
        "protocol_hash", "text", "", "First 16 digits of the sha256 of the protocol as recorded."
    ),
    Column(
        "marks",
        "text",
        "",
        "What a reader must know: uncalibrated, few samples, sfid experimental.",
    ),
    Column("seconds", "number", "s", "Wall time of the evaluation."),
    Column("device", "text", "", "Device it ran on."),
    Column("host", "text", "", "Host it ran on."),
    Column("commit", "text", "", "Commit of the code that measured."),
    Column("dirty", "yes/no", "", "Whether that code had uncommitted changes."),
    Column("ended_at", "text", "UTC", "Wall-clock end, for people; nothing is ordered by it."),
)
_METRICS = (
    Column("run_id", "text", "", "The run that was trained."),
    Column(
        "attempt",
        "integer",
        "",
        "Attempt that wrote the row; the latest wins at each training point.",
    ),
    Column("images", "integer", "images", "Images seen."),
    Column("step", "integer", "steps", "Optimiser steps made."),
    Column("loss", "number", "", "Training loss, mean since the row before."),
    Column("mse", "number", "", "Its squared-error term."),
    Column("vb", "number", "", "Its variational term (learned covariance)."),
    Column("grad_norm", "number", "", "Global gradient norm before clipping."),
    Column("images_per_s", "number", "images/s", "Throughput since the row before."),
    Column(
        "nonfinite", "text", "", "Which values were not finite, as JSON; their columns lack them."
    ),
)
_ATTEMPTS = (
    Column("run_id", "text", "", "The run."),
    Column("attempt", "integer", "", "Number of the start, from 1; orders the attempts of a run."),
    Column("end", "text", "", "done, diverged, stopped, failed or lost; missing while open."),
    Column("reason", "text", "", "Why it ended."),
    Column("images_start", "integer", "images", "Training point it started from."),
    Column("images_end", "integer", "images", "Training point it reached."),
    Column("seconds", "number", "s", "Wall time; missing while open."),
    Column("processes", "integer", "", "Devices it used; one where the record does not say."),
    Column("device", "text", "", "Device."),
    Column("host", "text", "", "Host."),
    Column("job", "text", "", "Job of the scheduler."),
    Column("started_at", "text", "UTC", "Wall-clock start, for people."),
    Column("ended_at", "text", "UTC", "Wall-clock end, for people."),
    Column("commit", "text", "", "Commit of the code that trained."),
    Column("dirty", "yes/no", "", "Whether that code had uncommitted changes."),
)
_MEMBERS = (
    Column("study", "text", "", "Name of the study."),
    Column("run_id", "text", "", "A run of the study, started or not."),
    Column("name", "text", "", "The run's name within the study."),
    Column(
        "eval_id",
        "text",
        "",
        "An evaluation of the run in its plan; missing where the plan has none.",
    ),
    Column(
        "predicted_hours", "number", "h", "Device-hours its plan predicted for the run's training."
    ),
    Column(
        "predicted_eval_hours",
        "number",
        "h",
        "Device-hours its plan predicted for all its evaluations of the run.",
    ),
)
_PROBLEMS = (
    Column("run_id", "text", "", "The run whose files are concerned."),
    Column("path", "text", "", "File, relative to the results folder."),
    Column("line", "integer", "", "Line; 0 is the file as a whole."),
    Column(
        "kind",
        "text",
        "",
        "torn, altered, type, duplicate, oversized, foreign, missing, nonfinite or unreadable.",
    ),
    Column("detail", "text", "", "What is wrong."),
)

METRIC_NOTES = {
    "": "Value of the metric `{}`; missing where it was not measured, not finite or impossible.",
    "_low": "Lower end of the interval of `{}`.",
    "_high": "Upper end of the interval of `{}`.",
}


@cache
def tables() -> dict[str, tuple[Column, ...]]:
    """Return the fixed columns of each table.

    evals has three more columns per metric, metrics one per further value.
    """
    return {
        "runs": (*_FRONT, *science_columns()),
        "evals": (*_EVALS, *_evaluation_columns(), *_EVALS_END),
        "metrics": _METRICS,
        "attempts": _ATTEMPTS,
        "members": _MEMBERS,
        "problems": _PROBLEMS,
    }


@cache
def science_columns() -> tuple[Column, ...]:
    """Return one typed column per field of the science: model.patch is model_patch."""
    found: dict[str, Column] = {}
    for half, models in HALVES.items():
        for model in models:
            for name, info in model.model_fields.items():
                key = f"{half}_{name}"
                found.setdefault(key, _column(key, name, info.annotation, info.description))
    return tuple(found.values())


def _evaluation_columns() -> tuple[Column, ...]:
    fields = {**Evaluation.model_fields, **Sampling.model_fields}
    del fields["sampling"]
    return tuple(
        _column(evaluation_name(n), n, i.annotation, i.description) for n, i in fields.items()
    )


def evaluation_name(field: str) -> str:
    """Return the column of an evaluation's field: its seed is sample_seed, a run has its own."""
    return "sample_seed" if field == "seed" else field


def schema(table: str) -> pa.Schema:
    """Return the Arrow schema of the fixed columns of a table."""
    return pa.schema([(c.name, TYPES[c.type]) for c in tables()[table]])


def units(columns: typing.Iterable[str], table: str | None = None) -> dict[str, str]:
    """Return {column: unit} for the columns that have one."""
    wanted = set(columns)
    chosen = [tables()[table]] if table in tables() else tables().values()
    return {c.name: c.unit for group in chosen for c in group if c.unit and c.name in wanted}


def _column(key: str, name: str, annotation: object, doc: str | None) -> Column:
    return Column(key, _type(annotation), UNITS.get(name, ""), " ".join((doc or "").split()))


def _type(annotation: object) -> str:
    """Return the dictionary's word for a field's annotation; other kinds are JSON text."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = {_type(a) for a in typing.get_args(annotation) if a is not type(None)}
        return inner.pop() if len(inner) == 1 else "text"
    if origin is typing.Literal:
        return "text"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "text"
    for kind, word in ((bool, "yes/no"), (int, "integer"), (float, "number")):
        if annotation is kind:
            return word
    return "text"
