"""A calibration in seconds: a few real steps of a study's own models, smallest and largest first.

`dit_core.bench.quick_steps` is the process that measures; `quick_calibration` starts as many as
there will be workers, so that what they take from each other is in the figures.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from dit_core.bench.device import device_name
from dit_core.bench.fit import prices
from dit_core.errors import RecordError
from dit_core.executor.allocator import environment_to_train
from dit_core.executor.local import crew_for
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.paths import Store
from dit_core.records.provenance import now
from dit_core.study.price.predict import (
    PASS_TERMS,
    SCHEMA,
    STEP_TERMS,
    Calibration,
    pass_terms,
    step_terms,
)
from dit_core.study.science import ids
from dit_core.study.science.run import Run
from dit_core.study.science.science import Science

LIMIT_S = 60.0  # for all of it; shapes that were not reached by then are left out
_MOST_SHAPES = 3
_MOST_PROCESSES = 4
# What a quick look does not measure, as a calibration on the digits found it on two cores.
_RUN_S = 0.5
_EVALUATION_S = 1.0
_SAMPLE_S = 1e-4
_PASS_SAMPLES = 256


def quick_calibration(store: Store, runs: tuple[Run, ...]) -> tuple[Calibration, float] | None:
    """Measure the models of `runs`, keep the result, and return it with the seconds it took.

    None where nothing could be measured within the limit.
    """
    started = time.perf_counter()
    chosen = _shapes(runs)
    crew = crew_for(runs)
    found = _measured(chosen, min(crew.workers, _MOST_PROCESSES), crew.threads, runs[0])
    if not found:
        return None
    measured = [science for science, _ in zip(chosen, found, strict=False)]
    step_s = [one["step_s"] for one in found]
    pass_s = [one["pass_s"] for one in found]
    calibration = Calibration(
        device=device_name(),
        workers=crew.workers,
        threads=crew.threads,
        step=prices([step_terms(s) for s in measured], step_s, STEP_TERMS),
        sampling=prices([pass_terms(s, _PASS_SAMPLES) for s in measured], pass_s, PASS_TERMS),
        start_s=max(one["start_s"] for one in found),
        run_s=_RUN_S,
        evaluation_s=_EVALUATION_S,
        sample_s=_SAMPLE_S,
        batch=_PASS_SAMPLES,
    )
    _keep(store, _key(chosen), calibration)
    return calibration, time.perf_counter() - started


def kept_calibration(store: Store, runs: tuple[Run, ...]) -> Calibration | None:
    """Return what was measured here before for the same models; None where nothing was."""
    path = _file(store)
    if not runs or not path.exists():
        return None
    try:
        entry = read_json(path)["devices"].get(device_name(), {})
        same = entry.get("shapes") == _key(_shapes(runs))
        return Calibration.of(entry["calibration"]) if same else None
    except (RecordError, AttributeError, KeyError, TypeError):
        return None  # it is measured again in seconds


def _file(store: Store) -> Any:
    return store.calibration.with_name("quick.json")


def _keep(store: Store, key: str, calibration: Calibration) -> None:
    path = _file(store)
    try:
        devices = read_json(path)["devices"]
    except (OSError, RecordError, KeyError, TypeError):
        devices = {}
    plain = {name: getattr(calibration, name) for name in Calibration.__dataclass_fields__}
    entry = {"shapes": key, "measured_at": now(), "calibration": plain}
    write_json(path, {"schema": SCHEMA, "devices": devices | {calibration.device: entry}})


def _shapes(runs: Iterable[Run]) -> list[Science]:
    """Return the smallest and the largest training step among the runs, then one between them."""
    distinct: dict[tuple[float, ...], Science] = {}
    for run in runs:
        terms = step_terms(run.science)
        distinct.setdefault(tuple(terms[name] for name in STEP_TERMS), run.science)
    ordered = [distinct[key] for key in sorted(distinct, key=lambda key: key[2])]
    last = len(ordered) - 1
    places = dict.fromkeys([0, last, last // 2])
    return [ordered[place] for place in places][:_MOST_SHAPES]


def _key(chosen: list[Science]) -> str:
    return hashlib.sha256("\n".join(map(ids.canonical_json, chosen)).encode()).hexdigest()[:16]


def _measured(
    chosen: list[Science], processes: int, threads: int, run: Run
) -> list[dict[str, float]]:
    """Return what each shape took, the median over the processes; those all of them reached."""
    order = {
        "sciences": [ids.canonical(science) for science in chosen],
        "device": run.execution.device,
        "threads": threads,
    }
    begin = time.perf_counter()
    children = [_child(order, threads) for _ in range(processes)]
    answers = [_answers(child, begin + LIMIT_S - time.perf_counter()) for child in children]
    reached = min(map(len, answers))
    return [
        {
            name: statistics.median(answer[shape][name] for answer in answers)
            for name in ("step_s", "pass_s", "start_s")
        }
        for shape in range(reached)
    ]


def _child(order: dict[str, Any], threads: int) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "dit_core.bench.quick_steps"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_to_train(threads),
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(order | {"started": time.time()}) + "\n")
    child.stdin.flush()
    return child


def _answers(child: subprocess.Popen[str], left_s: float) -> list[dict[str, float]]:
    """Return what a process has said by its end, or by the limit."""
    try:
        said, _ = child.communicate(timeout=max(left_s, 0.1))
    except subprocess.TimeoutExpired:
        child.kill()
        said, _ = child.communicate()
    return [json.loads(line) for line in said.splitlines()]
