"""Checkpoints: bundles of safetensors files, published whole, verified before they are believed.

`checkpoints/<images>/` are rolling and hold everything a run needs to resume; `snapshots/<images>/`
are kept and hold the EMA weights of an evaluation point.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dit_core.errors import RecordError
from dit_core.records.disk import bundle
from dit_core.records.disk.bundle import StorageFull
from dit_core.records.paths import RunPaths
from dit_core.records.run_state import has_snapshot
from dit_core.training.state import TrainState

Tensors = dict[str, Tensor]


def save_checkpoint(paths: RunPaths, state: TrainState, keep: int) -> Path:
    """Publish the whole state and return its folder.

    All but the `keep` newest checkpoints that verify are removed.
    """
    folder = paths.checkpoints / f"{state.images_seen:012d}"
    moments = {f"exp_avg.{n}": v for n, v in state.named(state.exp_avg).items()}
    moments |= {f"exp_avg_sq.{n}": v for n, v in state.named(state.exp_avg_sq).items()}
    moments |= {"steps": state.optimizer_steps, "window": state.window}
    bundle.publish(
        folder,
        {
            "weights.safetensors": _writer(state.named(state.weights)),
            "ema.safetensors": _writer(state.named(state.ema)),
            "optimizer.safetensors": _writer(moments),
        },
        {"run_id": paths.root.name, "images_seen": state.images_seen},
    )
    state.published.add(folder)
    _purge(paths, keep, state.published)
    return folder


def load_newest(paths: RunPaths, state: TrainState) -> list[str]:
    """Fill `state` from the newest checkpoint that verifies; return the faults of newer ones.

    A state without any checkpoint stays at its start. Raises RecordError where a checkpoint of
    another run lies in the folder.
    """
    troubles: list[str] = []
    for folder in _newest_first(paths):
        try:
            manifest = bundle.verify(folder)
            if manifest.get("run_id") != paths.root.name:
                raise RecordError(
                    f"{folder}: belongs to run {manifest.get('run_id')}, not {paths.root.name}"
                )
            _fill(state, folder)
        except RecordError as error:
            troubles.append(f"{error}; going back to the checkpoint before it")
            continue
        state.images_seen = int(manifest["images_seen"])
        return troubles
    return troubles


def save_snapshot(paths: RunPaths, images_seen: int, ema: Tensors) -> None:
    """Publish the EMA weights of a training point, unless they are there and whole."""
    folder = paths.snapshot(images_seen)
    if has_snapshot(paths, images_seen):
        return
    bundle.publish(
        folder,
        {"ema.safetensors": _writer(ema)},
        {"run_id": paths.root.name, "images_seen": images_seen},
    )


def load_ema(paths: RunPaths, images_seen: int) -> Tensors:
    """Return the EMA weights by parameter name, on the CPU.

    Raises RecordError naming what is missing or altered.
    """
    folder = paths.snapshot(images_seen)
    if not folder.is_dir():
        points = sorted(int(f.name) for f in paths.snapshots.glob("[0-9]*"))
        kept = ", ".join(f"{point:,}" for point in points) or "none"
        raise RecordError(
            f"{paths.root}: no weights were kept after {images_seen:,} images; kept points: "
            f"{kept}; evaluate at one of these, or move the run's folder away to train it again"
        )
    bundle.verify(folder)
    return load_file(folder / "ema.safetensors")


def checkpoint_bytes(state: TrainState) -> int:
    """Return the size of one checkpoint in bytes: weights, EMA and two moments in float32."""
    return 4 * state.weights.numel() * state.weights.element_size() + 64 * 1024


def require_space(paths: RunPaths, state: TrainState, keep: int, snapshots: int) -> None:
    """Raise StorageFull where the checkpoints of this run cannot fit on the disk."""
    needed = checkpoint_bytes(state) * (keep + 1) + snapshots * (state.weights.numel() * 4 + 4096)
    paths.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(paths.root).free
    if free < needed:
        raise StorageFull(
            f"{paths.root}: {free / 1e9:.3f} GB free, but checkpoints and snapshots of this run "
            f"need {needed / 1e9:.3f} GB; free some space "
            "(`ditlab gc`) or keep fewer (`execution.keep_checkpoints`)"
        )


def _writer(tensors: Tensors) -> Callable[[Path], None]:
    return lambda path: save_file(
        {n: t.detach().to("cpu").contiguous() for n, t in tensors.items()}, path
    )


def _fill(state: TrainState, folder: Path) -> None:
    """Copy a verified checkpoint into the state; raise RecordError for another network's."""
    try:
        moments = load_file(folder / "optimizer.safetensors")
        parts = {
            "weights": (state.weights, load_file(folder / "weights.safetensors")),
            "ema": (state.ema, load_file(folder / "ema.safetensors")),
            "exp_avg": (state.exp_avg, _strip(moments, "exp_avg.")),
            "exp_avg_sq": (state.exp_avg_sq, _strip(moments, "exp_avg_sq.")),
        }
        steps = moments["steps"]
        window = moments["window"]
    except Exception as error:  # safetensors raises its own type for a torn header
        raise RecordError(f"{folder}: not readable ({error})") from error
    for part, (_, tensors) in parts.items():  # check all before anything is overwritten
        if {n: t.shape for n, t in tensors.items()} != state.shapes:
            raise RecordError(f"{folder}: its {part} are not those of this network")
    with torch.no_grad():
        for flat, tensors in parts.values():
            for name, view in state.named(flat).items():
                view.copy_(tensors[name])
    state.optimizer_steps.copy_(steps)
    state.window.copy_(window)


def _strip(tensors: Tensors, prefix: str) -> Tensors:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _newest_first(paths: RunPaths) -> list[Path]:
    if not paths.checkpoints.is_dir():
        return []
    return sorted((f for f in paths.checkpoints.iterdir() if f.name.isdigit()), reverse=True)


def _purge(paths: RunPaths, keep: int, trusted: set[Path]) -> None:
    """Remove old checkpoints; only those that verify count towards `keep`.

    Those in `trusted` are not hashed again.
    """
    verified = 0
    for folder in _newest_first(paths):
        if verified >= keep:
            bundle.remove(folder)
            continue
        try:
            bundle.verify(folder, sizes_only=folder in trusted)
            verified += 1
        except RecordError:
            continue
