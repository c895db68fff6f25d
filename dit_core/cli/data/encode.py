"""`ditlab encode`: a folder of images becomes a folder of VAE latents."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dit_core.device import device_for
from dit_core.errors import DataError, UserError


def encode(
    folder: Annotated[
        Path, typer.Argument(help="Images, one sub-folder per class; with --verify, latents.")
    ],
    vae: Annotated[
        str | None, typer.Option(help="A folder with an AutoencoderKL, or OWNER/NAME@REVISION.")
    ] = None,
    size: Annotated[
        int, typer.Option(help="Side of the square cut from each image, in pixels.")
    ] = 256,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the shards; give it again to resume.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Type on disk: float32, or float16 at half the size.")
    ] = "float32",
    shard: Annotated[
        int, typer.Option(help="Images per shard: what a kill costs each process at most.")
    ] = 512,
    batch: Annotated[int, typer.Option(help="Images per pass through the VAE.")] = 8,
    processes: Annotated[
        int | None, typer.Option(help="Processes; default one per GPU, else per core.")
    ] = None,
    part: Annotated[
        str, typer.Option(help="i/n: make every n-th shard from the i-th, for n machines.")
    ] = "1/1",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    verify: Annotated[
        bool, typer.Option("--verify", help="Only re-read the shards in FOLDER against sha256.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Encode images as posterior moments of a VAE.

    It may be stopped at any moment; run it again to resume.
    """
    if verify:
        _verify(folder, as_json)
        return
    if vae is None or out is None:
        raise UserError(
            f"{'--vae' if vae is None else '--out'} is missing: ditlab encode FOLDER --vae VAE "
            "--out DIR"
        )
    if processes is not None and processes < 1:
        raise UserError(f"--processes {processes}: must be at least 1")
    from dit_core.data.latents.encode import default_processes, encoding_of
    from dit_core.data.latents.encode import encode as make
    from dit_core.data.latents.vae import find_vae
    from dit_core.records.disk.files import sha256_of

    device = device_for(device)
    piece = _part(part)
    encoding = encoding_of(
        folder, find_vae(vae), out, size=size, dtype=dtype, shard=shard, batch=batch, device=device
    )
    start = time.monotonic()
    with _progress() as show:
        facts = make(encoding, processes or default_processes(device), piece, show)
    facts["seconds"] = round(time.monotonic() - start, 3)
    if facts["done"]:
        c, h, w = encoding.vae.latent_shape(size)
        facts["data"] = {"kind": "latents", "channels": c, "height": h, "width": w}
        facts["data"] |= {"classes": len(encoding.listing.classes), "images": facts["images"]}
        facts["data"]["sha256"] = sha256_of(out / "manifest.json")
    print(json.dumps(facts) if as_json else _summary(facts, out))


def _summary(facts: dict[str, Any], out: Path) -> str:
    made = ", ".join(f"{facts[k]} {k}" for k in ("kept", "encoded", "mended") if facts[k])
    head = (
        f"{facts['images']} images, {facts['shards']} shards ({made or 'none made'}) "
        f"in {facts['seconds']:.1f} s"
    )
    if not facts["done"]:
        return (
            f"{head}; {facts['missing']} shards are left to the other parts, the last of which "
            "writes the manifest"
        )
    rows = ", ".join(f"{k}: {v}" for k, v in facts["data"].items())
    where = f"execution: {{data_roots: {{{out.name}: {out}}}}}"
    return f"{head}\nin a study:  data: {{name: {out.name}, {rows}}}\nand:         {where}"


def _verify(folder: Path, as_json: bool) -> None:
    from dit_core.data.latents.latent_set import verify

    checked = list(verify(folder))
    rows = [{"file": shard.file, "problem": problem} for shard, problem in checked]
    bad = [f"{folder / shard.file}: {problem}" for shard, problem in checked if problem]
    if as_json:
        print(json.dumps({"shards": len(rows), "bad": len(bad), "rows": rows}))
    if bad:
        remedy = (
            f"{len(bad)} of {len(rows)} shards are broken; the same `ditlab encode` makes them "
            "again"
        )
        raise DataError("\n".join([*bad, remedy]))
    if not as_json:
        print(f"{len(rows)} shards, all whole")


def _part(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise UserError(f"--part {text!r}: write i/n with 1 <= i <= n, as in 2/8")
    return int(i), int(n)


class _progress:  # noqa: N801 - used as a function
    """A bar on stderr; silent where that is no terminal."""

    def __enter__(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("encoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty()
        )
        self._bar.start()
        task = self._bar.add_task("encoding", total=None)
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
