"""What loading costs: `Dataset.batch` beside the training step it feeds, for each kind of data.

    python benchmarks/loading.py [--batch 8] [--steps 5] [--threads N] [--json]

Latents and images are of ImageNet's shape (4x32x32 float32 moments; 500x375 JPEG files) and feed
S/2; the digits feed the smallest model of the shipped studies. "load ms" and "step ms" are medians
of wall time, "share" their ratio; "cpu" is the same ratio in processor time, which other programs
on the machine do not disturb. The step is the plainest one (forward, backward, AdamW, without EMA
and metrics), so that the share is not flattered.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from dit_core.data.ahead import Ahead
from dit_core.data.latents.latent_set import Manifest, Shard, VaeIdentity
from dit_core.data.load import Dataset, load_data
from dit_core.data.order import batch_indices
from dit_core.diffusion.objective import make_objective
from dit_core.model.build import build_model
from dit_core.records.disk.files import sha256_of, write_atomic, write_json
from dit_core.study.science.science import Data, Ddpm, Model, Science, Train, dims_of

IMAGES = 2048
SHARD = 512
CLASSES = 8


def latents(root: Path) -> Data:
    """Write random latents of ImageNet's shape at `root`; return what a study says of them."""
    shards = []
    draw = torch.Generator().manual_seed(0)
    for k in range(IMAGES // SHARD):
        path = root / f"shard-{k:05d}.safetensors"
        labels = torch.arange(k * SHARD, (k + 1) * SHARD) * CLASSES // IMAGES
        moments = torch.rand(SHARD, 2, 8, 32, 32, generator=draw)
        write_atomic(path, save({"moments": moments, "labels": labels}))
        size = path.stat().st_size
        shards.append(Shard(file=path.name, images=SHARD, bytes=size, sha256=sha256_of(path)))
    manifest = Manifest(
        images=IMAGES,
        classes={f"class{k}": IMAGES // CLASSES for k in range(CLASSES)},
        shape=(4, 32, 32),
        dtype="float32",
        scale=0.18215,
        crop="none",
        files_sha256="0" * 64,
        vae=VaeIdentity(source="random numbers", weights_sha256="0" * 64, config_sha256="0" * 64),
        device="cpu",
        shards=tuple(shards),
    )
    write_json(root / "manifest.json", manifest.model_dump(mode="json"))
    return _data(kind="latents", channels=4, height=32, width=32, images=IMAGES)


def images(root: Path) -> Data:
    """Write JPEG files larger than 256 px at `root`; return their data spec: 32 px, 3 channels."""
    draw = np.random.default_rng(0)
    for i in range(256):
        folder = root / f"class{i % CLASSES}"
        folder.mkdir(exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (25, 32, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)
    return _data(kind="images", channels=3, height=32, width=32, images=256)


def _data(**fields: object) -> Data:
    return Data(**({"name": "benchmark", "classes": CLASSES, "flip": True} | fields))


def science_of(data: Data, size: str, patch: int, batch: int) -> Science:
    """Return a training of a named size on `data`."""
    depth, hidden, heads = dims_of(size)
    model = Model(depth=depth, hidden=hidden, heads=heads, patch=patch)
    return Science(model=model, data=data, objective=Ddpm(), train=Train(images=batch, batch=batch))


def step_of(science: Science) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Return the shortest training step: forward, backward, AdamW; no EMA, no metrics."""
    model = build_model(science)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    objective = make_objective(science.objective)

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        loss = objective.loss(model, x, torch.rand(len(x)), torch.randn_like(x), y)["loss"].mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(
    name: str, data: Dataset, science: Science, steps: int, ahead: bool
) -> dict[str, object]:
    """Return the median ms of loading and of the step on the same batches, and their ratios."""
    source = Ahead(data, science.train.batch) if ahead else data
    step = step_of(science)
    batch = science.train.batch
    rows = []
    for k in range(steps + 1):  # the first warms up and is dropped
        stream = np.arange(k * batch, (k + 1) * batch)
        moments = [_clocks()]
        x, y = source.batch(batch_indices(0, k * batch, batch, len(data)), stream, 0)
        moments.append(_clocks())
        step(x, y)
        moments.append(_clocks())
        rows.append(np.diff(np.array(moments), axis=0).ravel())
    load, load_cpu, work, work_cpu = np.median(np.array(rows[1:]), axis=0).tolist()
    row = {
        "data": name,
        "batch": batch,
        "ahead": ahead,
        "load_ms": load * 1e3,
        "step_ms": work * 1e3,
    }
    # What the thread of `Ahead` does meanwhile is counted to the step: no ratio of processor time
    # is given for it.
    return row | {"share": load / work, "share_cpu": None if ahead else load_cpu / work_cpu}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Measure and print one row per kind of data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("latents 4x32x32, S/2", latents), ("JPEG 500x375 -> 32, S/2", images)):
            root = Path(folder) / write.__name__
            root.mkdir()
            cfg = write(root)
            for ahead in (False, True):
                science = science_of(cfg, "S", 2, args.batch)
                rows.append(measure(name, load_data(cfg, str(root)), science, args.steps, ahead))
    digits = science_of(Data(), "XXXS", 4, 64)
    rows.append(measure("digits, XXXS/4", load_data(Data()), digits, 200, False))
    if args.json:
        print(json.dumps(rows))
        return
    print(
        f"{'data':26}{'batch':>6}{'ahead':>7}{'load ms':>10}{'step ms':>11}{'share':>9}{'cpu':>9}"
    )
    for row in rows:
        cpu = "" if row["share_cpu"] is None else f"{row['share_cpu']:.2%}"
        print(
            "{data:26}{batch:6}{ahead!s:>7}{load_ms:10.3f}{step_ms:11.2f}{share:9.2%}".format(**row)
            + f"{cpu:>9}"
        )


if __name__ == "__main__":
    main()
