"""`ditlab bench`: the speed of this machine beside a peer, and the calibration `plan` uses."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import UserError, nearest
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from dit_core.bench.subject import Subject

_PEERS = ("diffusers", "none")
_PRECISIONS = ("float32", "bf16")
_COMPILES = ("on", "off")


def bench(
    model: Annotated[
        str | None, typer.Option("--model", help="Size and patch, as in S/4 (GPU: XL/2).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Images per step; default: what fits.")
    ] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="float32 or bf16.")] = None,
    compiled: Annotated[str | None, typer.Option("--compile", help="on or off.")] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads on a CPU.")
    ] = None,
    peer: Annotated[str, typer.Option("--peer", help="diffusers or none.")] = "diffusers",
    blocks: Annotated[
        int, typer.Option("--blocks", min=1, help="Pairs of blocks per comparison.")
    ] = 10,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps per block; default: a second's.")
    ] = None,
    sampling: Annotated[
        bool, typer.Option("--sampling", help="Compare guided sampling and gradients too.")
    ] = False,
    save: Annotated[
        bool, typer.Option("--save", help="Measure the calibration for `plan` and keep it.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine trains, beside a peer's training loop.

    Shows images/s, the phases of a step, MFU, memory and the ratio to the peer. With --save (and no
    --model) it measures the calibration instead: about two minutes on a CPU.
    """
    store = Store.at(results)
    document: dict[str, Any] = {}
    with _Progress() as show:
        if save:
            from dit_core.bench.calibrate import calibrate

            document["calibration"] = calibrate(
                store, lambda done, total: show("calibration", done, total)
            )
        if model is not None or not save:
            from dit_core.bench.measure import measure

            subject = _subject(model, batch, precision, compiled, threads)
            _among("--peer", peer, _PEERS)
            fixed = batch is not None
            document |= measure(
                subject,
                blocks,
                steps,
                show,
                peer=peer == "diffusers",
                sampling=sampling,
                fixed_batch=fixed,
            )
    if as_json:
        print_json(document)
    else:
        _print(document, store)


def _subject(
    model: str | None,
    batch: int | None,
    precision: str | None,
    compiled: str | None,
    threads: int | None,
) -> Subject:
    import torch

    from dit_core.bench.calibrate import default_subject
    from dit_core.bench.subject import named

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size, patch = named(model or ("XL/2" if device == "cuda" else "S/4"))
    subject = default_subject(size, patch, device, len(os.sched_getaffinity(0)))
    if precision is not None:
        _among("--precision", precision, _PRECISIONS)
    if compiled is not None:
        _among("--compile", compiled, _COMPILES)
    return replace(
        subject,
        batch=batch or subject.batch,
        precision=precision or subject.precision,
        compile=compiled or subject.compile,
        threads=threads or subject.threads,
    )


def _print(document: dict[str, Any], store: Store) -> None:
    if entry := document.get("calibration"):
        print(
            f"calibration of {entry['device']}, {entry['workers']} workers of {entry['threads']} "
            "threads:"
        )
        for point in entry["points"]:
            print(f"  {point['run']:<12} {1e3 * point['step_s']:9.2f} ms per step")
        print(
            f"  fitted within {100 * entry['step_fit_error']:.0f} % (steps), "
            f"{100 * entry['sampling_fit_error']:.0f} % (sampling)"
        )
        print(f"written: {store.calibration}")
    if "subject" not in document:
        return
    s = document["subject"]
    print(
        f"{s['size']}/{s['patch']}, batch {s['batch']}, {s['precision']}, compile {s['compile']}, "
        f"{s['threads']} threads on {document['device']}"
    )
    print(
        f"{document['images_per_s']:.1f} images/s, {1e3 * document['step_s']:.2f} ms per step; "
        f"{document['flops_per_s'] / 1e9:.1f} of {document['ceiling_flops_per_s'] / 1e9:.1f} "
        "GFLOP/s "
        f"(MFU {document['mfu']:.2f}); memory {document['memory_bytes'] / 1e9:.2f} GB"
    )
    for name, seconds in document["phases_s"].items():
        print(
            f"  {name:<10} {1e3 * seconds:9.3f} ms "
            f"{100 * seconds / document['phases_step_s']:5.1f} %"
        )
    print(
        f"  EMA, rows and checkpoints {100 * document['bookkeeping_share']:.1f} %, "
        f"data {100 * document['data_share']:.1f} %"
    )
    for what, found in document.get("peer", {}).items():
        at = f" at batch {found['batch']}" if found["batch"] != s["batch"] else ""
        print(
            f"{what}: {found['ratio']:.2f}x the peer{at} (median of {found['blocks']} pairs, "
            f"{found['lowest']:.2f} to {found['highest']:.2f}; {1e3 * found['ours_s']:.2f} against "
            f"{1e3 * found['peer_s']:.2f} ms; processor time {found['cpu_ratio']:.2f}x)"
        )
        if found["pays_after_steps"] and s["compile"] == "on":
            print(
                f"  first step {found['first_s']:.0f} s (compiling), repaid after "
                f"{found['pays_after_steps']:,} steps"
            )


def _among(option: str, word: str, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        raise UserError(f"{option} {word!r}{nearest(word, allowed)}; allowed: {', '.join(allowed)}")


class _Progress:
    """What is being measured, on a terminal only."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._progress = Progress(console=console, disable=not console.is_terminal, transient=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Any:
        self._progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
