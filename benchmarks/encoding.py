"""Encode images undisturbed, then again with five SIGKILLs, and compare every byte.

    python benchmarks/encoding.py [--images 2000] [--kills 5] [--processes 2] [--size 64] [--json]

The VAE is small and randomly initialised: images/s say what the pipeline does, not what the paper's
VAE would take. Exits 1 unless all files of the two passes are equal.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def make_images(root: Path, count: int) -> None:
    """Write `count` smooth random images of several shapes in ten classes."""
    draw = np.random.default_rng(0)
    for i in range(count):
        folder = root / f"class{i % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((80 + i % 37, 72 + i % 23), Image.Resampling.BICUBIC).save(
            folder / f"{i:06d}.png"
        )


def make_vae(root: Path) -> None:
    """Write a VAE that shrinks images by four, of some 400 thousand parameters."""
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    blocks = {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    AutoencoderKL(block_out_channels=(16, 32, 32), norm_num_groups=8, **blocks).save_pretrained(
        root
    )


def encode(args: argparse.Namespace, work: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start `ditlab encode` of the images into `out`."""
    command = [
        sys.executable,
        "-m",
        "dit_core.cli.app",
        "encode",
        work / "images",
        "--vae",
        work / "vae",
        "--out",
        out,
    ]
    command += [
        "--size",
        args.size,
        "--shard",
        args.shard,
        "--processes",
        args.processes,
        "--device",
        "cpu",
        "--json",
    ]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)


def encode_with_kills(args: argparse.Namespace, work: Path, out: Path) -> int:
    """Encode into `out` with kills at random moments; return how many met a running pass."""
    kills = 0
    shards = -(-args.images // args.shard)
    for k in range(args.kills):
        process = encode(args, work, out)
        while process.poll() is None and len(list(out.glob("shard-*.json"))) < (k + 1) * shards // (
            args.kills + 1
        ):
            time.sleep(0.005)
        time.sleep(random.random() * 0.2)
        kills += process.poll() is None
        process.kill()
        process.wait()
    process = encode(args, work, out)
    process.communicate()
    return kills


def compare(calm: Path, rough: Path) -> dict[str, int]:
    """Return the counts of equal files, of undisturbed files, and of surplus files."""
    names, others = ({p.name for p in folder.iterdir()} for folder in (calm, rough))
    equal = sum((calm / n).read_bytes() == (rough / n).read_bytes() for n in names & others)
    return {"files_equal": equal, "files": len(names), "files_more": len(others - names)}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {
        "images": 2000,
        "kills": 5,
        "processes": 2,
        "size": 64,
        "shard": 50,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_images(work / "images", args.images)
        make_vae(work / "vae")
        process = encode(args, work, work / "calm")
        seconds = json.loads(process.communicate()[0])["seconds"]
        kills = encode_with_kills(args, work, work / "rough")
        facts = {
            "images": args.images,
            "images_per_s": args.images / seconds,
            "seconds": seconds,
            "kills": kills,
        }
        facts |= compare(work / "calm", work / "rough")
    print(json.dumps(facts) if args.json else "  ".join(f"{k} {v:.6g}" for k, v in facts.items()))
    return int(facts["files_equal"] != facts["files"] or facts["files_more"] or kills != args.kills)


if __name__ == "__main__":
    raise SystemExit(main())
