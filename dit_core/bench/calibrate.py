"""Measure this machine by small real runs, as the local executor runs them; fit a step's prices."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dit_core.bench.device import device_name
from dit_core.bench.fit import prices, worst
from dit_core.bench.lane import Lane
from dit_core.bench.subject import SMALL, Subject
from dit_core.errors import EnvironmentProblem
from dit_core.executor.allocator import environment_to_train
from dit_core.executor.local import Crew, crew_for, run_locally
from dit_core.records.attempt import read_attempts
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.evals import read_eval
from dit_core.records.metrics import read_curve
from dit_core.records.paths import Store
from dit_core.records.provenance import now
from dit_core.study.price import cost
from dit_core.study.price.predict import PASS_TERMS, SCHEMA, STEP_TERMS, pass_terms, step_terms
from dit_core.study.price.steps import passes
from dit_core.study.science import ids
from dit_core.study.science.execution import Execution
from dit_core.study.science.run import PlannedEvaluation, Run
from dit_core.study.science.sampling import Evaluation, Sampling
from dit_core.study.science.science import Data, Ddpm, Model, Science, Train, dims_of

# (size, patch, batch). Short steps of the smallest networks show the cost of the loop and of
# launching operations.
SHAPES = [(size, patch, 64) for size in ("XXXS", "XXS", "XS") for patch in (4, 2, 1)]
SHAPES += [(size, patch, 16) for size in ("XXXXS", "XXS") for patch in (4, 2, 1)]
GPU_SHAPES = [
    ("S", 8),
    ("S", 4),
    ("S", 2),
    ("B", 4),
    ("B", 2),
    ("L", 4),
    ("L", 2),
    ("XL", 4),
    ("XL", 2),
]
# a run is long enough for about this many seconds at this many FLOP/s
_RUN_S = 4.0
_RATE = 3e10
_SAMPLES = (300, 1200)
_SAMPLING_STEPS = 4


def calibrate(
    store: Store, on_run: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Measure this device, write its entry to results/bench/calibration.json, and return it.

    Entries of other devices in the file are kept.
    """
    entry = _gpu(on_run) if torch.cuda.is_available() else _cpu(on_run)
    path = store.calibration
    try:
        devices = read_json(path)["devices"]
    except (FileNotFoundError, KeyError, TypeError):
        devices = {}
    write_json(path, {"schema": SCHEMA, "devices": devices | {entry["device"]: entry}})
    return entry


def calibration_run(size: str, patch: int, batch: int) -> Run:
    """Return a run of a few seconds with two evaluations of different size."""
    depth, hidden, heads = dims_of(size)
    model = Model(depth=depth, hidden=hidden, heads=heads, patch=patch)
    science = Science(
        model=model, data=Data(), objective=Ddpm(), train=Train(images=batch, batch=batch)
    )
    steps = int(min(max(_RUN_S * _RATE / cost.train_flops(science), 20), 300))
    science = science.model_copy(
        update={"train": science.train.model_copy(update={"images": steps * batch})}
    )
    run_id = ids.run_id(science)
    evaluations = []
    for samples in _SAMPLES:
        evaluation = Evaluation(
            images_seen=science.train.images,
            samples=samples,
            sampling=Sampling(steps=_SAMPLING_STEPS),
        )
        evaluations.append(PlannedEvaluation(ids.eval_id(run_id, evaluation), run_id, evaluation))
    execution = Execution(log_every_images=batch * max(steps // 20, 1))
    return Run(
        run_id,
        f"{size}/{patch} x {batch}",
        science,
        execution,
        tuple(evaluations),
        (science.train.images,),
    )


def _cpu(on_run: Callable[[int, int], None]) -> dict[str, Any]:
    runs = tuple(calibration_run(*shape) for shape in SHAPES)
    crew = crew_for(runs)
    start_s = _start_s(crew)
    done = 0

    def hear(event: dict[str, Any]) -> None:
        nonlocal done
        if event["event"] == "end":
            done += 1
            on_run(done, len(runs))
            if event["how"] != "done":
                raise EnvironmentProblem(
                    f"calibration run {event['run']} ended as {event['how']}: {event['reason']}"
                )

    with tempfile.TemporaryDirectory(prefix="ditlab-bench-") as folder:
        store = Store(Path(folder))
        run_locally(store, "calibration", runs, hear)
        return _entry(crew, start_s, [_read(store, run) for run in runs], runs)


def _read(store: Store, run: Run) -> dict[str, Any]:
    """Return what one calibration run took."""
    paths = store.run(run.run_id)
    rates = [row["images_per_s"] for row in read_curve(paths)][2:]  # the first rows warm up
    step_s = run.science.train.batch / statistics.median(rates)
    attempt = read_attempts(paths)[-1]
    evaluations = {}
    for planned in run.evaluations:
        record = read_eval(paths, planned.eval_id)
        assert record is not None
        evaluations[planned.evaluation.samples] = (
            record["seconds_of"]["sampling"],
            record["seconds"],
        )
    rest = attempt["seconds"] - run.science.train.steps * step_s
    return {"run": run.name, "step_s": step_s, "rest_s": max(rest, 0.0), "evaluations": evaluations}


def _entry(
    crew: Crew, start_s: float, found: list[dict[str, Any]], runs: tuple[Run, ...]
) -> dict[str, Any]:
    steps = [step_terms(run.science) for run in runs]
    step_s = [one["step_s"] for one in found]
    sampled = []
    sampled_s = []
    fixed: dict[int, list[float]] = {}
    for run, one in zip(runs, found, strict=True):
        calls = passes(
            run.science.objective, Sampling(steps=_SAMPLING_STEPS), run.science.data.channels
        )
        for samples, (sampling, whole) in one["evaluations"].items():
            batches = [256] * (samples // 256) + ([samples % 256] if samples % 256 else [])
            parts = [pass_terms(run.science, batch) for batch in batches]
            sampled.append({name: calls * sum(part[name] for part in parts) for name in PASS_TERMS})
            sampled_s.append(sampling)
            fixed.setdefault(samples, []).append(whole - sampling)
    few, many = (statistics.median(fixed[samples]) for samples in _SAMPLES)
    per_sample = max(many - few, 0.0) / (_SAMPLES[1] - _SAMPLES[0])
    step = prices(steps, step_s, STEP_TERMS)
    sampling = prices(sampled, sampled_s, PASS_TERMS)
    return {
        "device": device_name(),
        "measured_at": now(),
        "torch": torch.__version__,
        "workers": crew.workers,
        "threads": crew.threads,
        "batch": 256,
        "start_s": start_s,
        "run_s": statistics.median(one["rest_s"] for one in found),
        "evaluation_s": max(few - _SAMPLES[0] * per_sample, 0.0),
        "sample_s": per_sample,
        "step": step,
        "sampling": sampling,
        "step_fit_error": worst(steps, step_s, step),
        "sampling_fit_error": worst(sampled, sampled_s, sampling),
        "points": [{k: one[k] for k in ("run", "step_s", "rest_s")} for one in found],
    }


def _start_s(crew: Crew) -> float:
    """Return the seconds until as many workers as there will be have loaded what they need."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", "import dit_core.executor.worker"]
    starting = [
        subprocess.Popen(command, env=environment_to_train(crew.threads))
        for _ in range(crew.workers)
    ]
    for process in starting:
        process.wait()
    return time.perf_counter() - begin


def _gpu(on_run: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure one GPU by itself: bf16, compiled, the sizes of the paper on random latents."""
    points = []
    steps = []
    step_s = []
    sampled = []
    pass_s = []
    for done, (size, patch) in enumerate(GPU_SHAPES, 1):
        subject = Subject(size, patch, 64, "bf16", "on", device="cuda")
        steps.append(step_terms(subject.science))
        step_s.append(_per_block("step", subject))
        sampled.append(pass_terms(subject.science, 128))  # guided: twice the batch
        pass_s.append(_per_block("sampling", subject) / _SAMPLING_STEPS)
        points.append({"run": f"{size}/{patch}", "step_s": step_s[-1]})
        on_run(done, len(GPU_SHAPES))
    step = prices(steps, step_s, STEP_TERMS)
    sampling = prices(sampled, pass_s, PASS_TERMS)
    return {
        "device": device_name(),
        "measured_at": now(),
        "torch": torch.__version__,
        "workers": torch.cuda.device_count(),
        "threads": 1,
        "batch": 256,
        "start_s": _start_s(Crew(1, 1)),
        "run_s": 60.0,  # compiling
        "evaluation_s": 60.0,
        "sample_s": 0.0,
        "step": step,
        "sampling": sampling,
        "step_fit_error": worst(steps, step_s, step),
        "sampling_fit_error": worst(sampled, pass_s, sampling),
        "points": points,
    }


def _per_block(what: str, subject: Subject) -> float:
    with Lane("ours", what, subject, sampling_steps=_SAMPLING_STEPS, guidance=1.5) as lane:
        lane.ready()
        lane.block(3)
        seconds: list[float] = [lane.block(5)["s"] for _ in range(3)]
    return statistics.median(seconds)


def default_subject(size: str, patch: int, device: str, cores: int) -> Subject:
    """Return how a model of this size is measured where nothing else is said."""
    if size in SMALL:
        return Subject(size, patch, 64, "float32", "off", 1, device)
    return Subject(size, patch, 256 if device == "cuda" else 32, "bf16", "on", cores, device)
