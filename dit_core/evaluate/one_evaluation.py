"""One evaluation of one run: snapshot -> samples -> features -> metrics -> record.

Resumable, shared by processes.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.data.same import require_same_data
from dit_core.device import device_for
from dit_core.errors import DataError, UserError
from dit_core.evaluate.features.extractors import Extractor, Unchanged, make_extractor
from dit_core.evaluate.features.progress import Parts
from dit_core.evaluate.features.reference import Reference, reference_of, rows_reference
from dit_core.evaluate.metrics.measure import measure
from dit_core.evaluate.protocol.definition import recorded
from dit_core.evaluate.protocol.fit import misfits
from dit_core.evaluate.samples.generate import Generator, network_of
from dit_core.evaluate.samples.pixels import to_uint8
from dit_core.evaluate.samples.real_rows import Rows, rows_of
from dit_core.evaluate.validate import is_calibrated
from dit_core.records.evals import read_eval, write_eval
from dit_core.records.paths import RunPaths
from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.catalogue.protocols import protocol_of
from dit_core.study.science.execution import Execution
from dit_core.study.science.ids import canonical, canonical_json
from dit_core.study.science.run import PlannedEvaluation
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science

Progress = Callable[[int, int], None]
# Features are put on disk this often: a short evaluation writes none, a long one loses this much to
# a kill.
FLUSH_S = 10.0


@dataclass(slots=True)
class _Work:
    """What one process holds while it evaluates."""

    protocol: Protocol
    extractor: Extractor | Unchanged
    reference: Reference
    generator: Generator
    parts: Parts
    ranges: list[range]
    identity: dict[str, Any]
    snapshot_sha256: str
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("sampling", "features", "statistics"), 0.0)
    )
    device: str = "cpu"


def evaluate(
    paths: RunPaths,
    science: Science,
    planned: PlannedEvaluation,
    execution: Execution,
    progress: Progress | None = None,
    *,
    rank: int = 0,
    world: int = 1,
    few: bool = False,
    keep: Path | None = None,
    flush_s: float = FLUSH_S,
) -> dict[str, Any]:
    """Return the record of one evaluation, carried out if it does not exist yet.

    `progress(done, total)` is called with samples after every batch. Of `world` processes, process
    `rank` takes every `world`-th batch; the one that finds all batches finished writes the record,
    the others return {"unfinished": n}. `few` allows fewer samples than features and labels the
    row; `keep` is a folder for the samples themselves. Raises UserError or DataError, before
    anything is sampled, for what the protocol does not allow, and EnvironmentProblem for files that
    are missing.
    """
    done = read_eval(paths, planned.eval_id)
    if done is not None:
        shutil.rmtree(
            _parts_folder(paths, planned), ignore_errors=True
        )  # left by a kill after the record was written
        return done
    started = time.perf_counter()
    work = _prepare(paths, science, planned, execution, few)
    total = planned.evaluation.samples
    features = {}
    pending = []
    flushed = time.perf_counter()
    for batch in range(rank, len(work.ranges), world):
        found = None if keep else work.parts.load(batch)
        features[batch] = found or _one(work, batch, keep, planned, paths)
        if found is None:
            pending.append(batch)
        if pending and time.perf_counter() - flushed >= flush_s:
            pending = _flush(work.parts, features, pending)
            flushed = time.perf_counter()
        if progress is not None:
            progress(min(total, sum(len(work.ranges[b]) for b in features) * world), total)
    if world > 1:
        _flush(work.parts, features, pending)
    missing = len(work.ranges) - len(work.parts.finished() | features.keys())
    if missing:
        return {"unfinished": missing, "batches": len(work.ranges)}
    return _finish(work, paths, planned, features, started)


def _prepare(
    paths: RunPaths, science: Science, planned: PlannedEvaluation, execution: Execution, few: bool
) -> _Work:
    """Check all that can be checked before sampling, then load network and extractor."""
    from dit_core.study.price.steps import check_sampler
    from dit_core.study.science.guidance import misguided

    evaluation = planned.evaluation
    protocol = protocol_of(evaluation.protocol)
    check_sampler(science.objective, evaluation.sampling)
    if why := misguided(science, evaluation.sampling):
        raise UserError(f"evaluation {planned.eval_id} of run {planned.run_id}: {why}")
    wrong = misfits(protocol, science.data, evaluation, few)
    if wrong:
        raise UserError(
            "\n".join(
                f"evaluation {planned.eval_id} of run {planned.run_id}: {misfit.text}"
                for misfit in wrong
            )
        )
    require_same_data(paths, science.data, execution.data_roots)
    device = torch.device(device_for(execution.device, "execution.device"))
    rows = rows_of(science.data, protocol.labels, execution.data_roots)
    extractor, reference = _measure(protocol, rows, execution, science.data.name, device)
    decode, decoder = _decoder(protocol, science, execution, device)
    weights, weights_sha256 = _weights(paths, evaluation)
    model = network_of(science, weights, device)
    generator = Generator(model, science, evaluation, protocol.labels, device, decode, rows)
    size = execution.sample_batch
    ranges = [
        range(i, min(i + size, evaluation.samples)) for i in range(0, evaluation.samples, size)
    ]
    identity = {
        **recorded(protocol),
        "samples": evaluation.samples,
        "weights_sha256": extractor.weights_sha256,
        "reference_sha256": reference.sha256,
        "reference_count": reference.count,
        "decoder": decoder,
        "batch": size,
        "tf32": device.type == "cuda"
        and torch.backends.cuda.matmul.allow_tf32,  # of the sampled network only
    }
    if rows is not None:
        identity["rows"] = rows.identity
    setting = json.dumps(
        [identity, canonical_json(evaluation), weights_sha256, torch.__version__], sort_keys=True
    )
    parts = Parts(_parts_folder(paths, planned), setting)
    return _Work(
        protocol,
        extractor,
        reference,
        generator,
        parts,
        ranges,
        identity,
        weights_sha256,
        device=_describe(device),
    )


def _measure(
    protocol: Protocol, rows: Rows | None, execution: Execution, data: str, device: torch.device
) -> tuple[Extractor | Unchanged, Reference]:
    """Return what turns samples into features, and what the features are held against."""
    if protocol.extractor == "none":
        assert rows is not None
        return Unchanged(), rows_reference(data, rows, protocol.fields)
    extractor = make_extractor(protocol, execution.data_roots, device)
    return extractor, reference_of(protocol, extractor, execution.data_roots, data)


def _one(
    work: _Work, batch: int, keep: Path | None, planned: PlannedEvaluation, paths: RunPaths
) -> dict[str, Tensor]:
    """Return the features of one batch, sampled now."""
    from dit_core.evaluate.samples.pictures import save_each, save_grid, save_maps, save_rows

    begin = time.perf_counter()
    numbers = work.ranges[batch]
    are_images = work.protocol.extractor != "none"
    are_maps = work.protocol.fields
    samples = work.generator.images(numbers) if are_images else work.generator.values(numbers)
    middle = time.perf_counter()
    features = work.extractor(samples)
    if batch == 0 and (are_images or are_maps):
        columns = min(work.generator.science.data.classes, 10) if are_images else 10
        first = samples[: 10 * columns]
        save_grid(
            paths.evals / f"{planned.eval_id}.png",
            (first if are_images else to_uint8(first)).cpu(),
            columns,
        )
    if keep is not None:
        (save_each if are_images else save_maps if are_maps else save_rows)(
            keep, samples.cpu(), numbers
        )
    work.seconds["sampling"] += middle - begin
    work.seconds["features"] += time.perf_counter() - middle
    return features


def _parts_folder(paths: RunPaths, planned: PlannedEvaluation) -> Path:
    return paths.evals / f"{planned.eval_id}.part"


def _flush(parts: Parts, features: dict[int, dict[str, Tensor]], pending: list[int]) -> list[int]:
    for batch in pending:
        parts.save(batch, features[batch])
    return []


def _finish(
    work: _Work,
    paths: RunPaths,
    planned: PlannedEvaluation,
    features: dict[int, dict[str, Tensor]],
    started: float,
) -> dict[str, Any]:
    """Merge all batches in their order, measure, publish the record, remove the parts."""
    begin = time.perf_counter()
    batches = []
    for batch in range(len(work.ranges)):
        found = features.get(batch) or work.parts.load(batch)
        if found is None:
            other = read_eval(paths, planned.eval_id)  # another process was first to merge
            return other or {"unfinished": 1, "batches": len(work.ranges)}
        batches.append(found)
    evaluation = planned.evaluation
    labels = work.generator.asked_labels(range(evaluation.samples))
    metrics = measure(work.protocol, batches, work.reference, labels, work.generator.rows)
    work.seconds["statistics"] = time.perf_counter() - begin
    record = write_eval(
        paths,
        planned.eval_id,
        {
            "evaluation": canonical(evaluation),
            "protocol": work.identity,
            "snapshot_sha256": work.snapshot_sha256,
            "marks": _marks(work, paths, evaluation),
            "metrics": metrics,
            "seconds": time.perf_counter() - started,
            "seconds_of": work.seconds,
            "device": work.device,
            "threads": torch.get_num_threads(),
        },
    )
    work.parts.remove()
    return record


def _marks(work: _Work, paths: RunPaths, evaluation: Evaluation) -> list[str]:
    """Return what a reader of the row must know; tables and figures carry it."""
    protocol = work.protocol
    marks = []
    calibrated = is_calibrated(paths.root.parents[2], protocol, work.extractor, work.reference)
    if calibrated is False:
        marks.append("uncalibrated")
        # Whether sfid is the published one is known only after a calibration: the layer cannot be
        # checked offline.
        marks += ["sfid experimental"] if "sfid" in protocol.metrics else []
    if evaluation.samples < (protocol.samples or protocol.width + 1):
        marks.append("few samples")
    return marks


def _weights(paths: RunPaths, evaluation: Evaluation) -> tuple[dict[str, Tensor], str]:
    """Return the weights to be sampled and the sha256 of their file."""
    from dit_core.records.disk.files import sha256_of
    from dit_core.training.checkpoint import load_ema

    weights = load_ema(paths, evaluation.images_seen)
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise DataError(
            f"{paths.snapshot(evaluation.images_seen)}: EMA weights are not finite: "
            f"{', '.join(broken[:3])}"
        )
    return weights, sha256_of(paths.snapshot(evaluation.images_seen) / "ema.safetensors")


def _decoder(
    protocol: Protocol, science: Science, execution: Execution, device: torch.device
) -> tuple[Any, Any]:
    """Return (decode function, its identity), or (None, None) where samples are pixels."""
    if protocol.decoder is None:
        return None, None
    from dit_core.evaluate.samples.decoder import make_decoder

    return make_decoder(protocol, science.data, execution.data_roots, device)


def _describe(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
