"""`ditlab import` and `ditlab export-weights`: weights from and for other projects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import UserError, nearest
from dit_core.records.paths import Store
from dit_core.study.science.science import Model

if TYPE_CHECKING:
    from dit_core.model.weights.described import Imported
    from dit_core.study.science.science import Science

LAYOUTS = ("released", "diffusers")
FLOWS = ("ditlab", "sit")
KINDS = ("latents", "images", "npz", "digits")


def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="A released DiT .pt file, or a diffusers DiTTransformer2DModel folder."
        ),
    ],
    data: Annotated[
        str, typer.Option("--data", help="Name of the data set it was trained on.")
    ] = "imagenet",
    kind: Annotated[
        str, typer.Option("--kind", help=f"Kind of that data: {', '.join(KINDS)}.")
    ] = "latents",
    images_seen: Annotated[
        int | None, typer.Option("--images-seen", help="Images seen in its training.")
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option("--heads", help="Attention heads, for sizes without a name."),
    ] = None,
    flow: Annotated[
        str | None,
        typer.Option("--flow", help="It is a flow's network; whose: ditlab or sit (other times)."),
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", help="Classes, where data and file do not tell them.")
    ] = None,
    time_frequencies: Annotated[
        str | None,
        typer.Option("--time-frequencies", help="released or diffusers; else that of the layout."),
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import external weights as a finished run, to be sampled and evaluated like any other."""
    _one_of("--kind", kind, KINDS)
    if time_frequencies is not None:
        _one_of("--time-frequencies", time_frequencies, LAYOUTS)
    if flow is not None:
        _one_of("--flow", flow, FLOWS)
    if flow == "sit" and time_frequencies is not None:
        raise UserError("--time-frequencies has no meaning with --flow sit, which has its own")
    numbers = {"--images-seen": images_seen, "--heads": heads, "--classes": classes}
    for option, value in numbers.items():
        if value is not None and value < 1:
            raise UserError(f"{option} {value}: must be at least 1")
    from dit_core.model.weights.described import Described
    from dit_core.model.weights.files import read_foreign
    from dit_core.study.science import ids

    described = Described(data, kind, images_seen, heads, flow, time_frequencies, classes)
    found = read_foreign(path, described)
    run_id = ids.run_id(found.science)
    fresh = _file_as_run(Store.at(results), run_id, found, path)
    science = found.science
    model = science.model
    assert isinstance(model, Model)  # `read_foreign` reads nothing but DiTs
    facts = {
        "run_id": run_id,
        "imported": fresh,
        "model_size": model.size,
        "patch": model.patch,
        "images_seen": science.train.images,
        "notes": list(found.notes),
    }
    if as_json:
        print_json(facts)
        return
    shape = f"{science.data.channels}x{science.data.height}x{science.data.width}"
    there = "" if fresh else ", already there"
    typer.echo(f"{run_id}: {model.size}/{model.patch} on {shape}{there}; `ditlab sample {run_id}`")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def export(
    run: Annotated[str, typer.Argument(help="A run's id, or enough of its beginning.")],
    out: Annotated[
        Path, typer.Argument(help="File (released) or folder (diffusers) to write; must not exist.")
    ],
    to: Annotated[str, typer.Option("--to", help=f"Layout: {' or '.join(LAYOUTS)}.")] = "released",
    at: Annotated[
        int | None, typer.Option("--at", help="Training point in images seen; else the last kept.")
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's EMA weights in the layout of the released code or of diffusers."""
    from dit_core.cli.work.sample import find_run
    from dit_core.records.run_record import read_science

    _one_of("--to", to, LAYOUTS)
    if out.exists():
        raise UserError(f"{out}: exists already; give another name")
    paths = find_run(Store.at(results), run)
    science = read_science(paths)
    points = sorted(int(p.name) for p in paths.snapshots.glob("*") if p.name.isdecimal())
    if not points or (at is not None and at not in points):
        kept = ", ".join(map(str, points)) or "none yet"
        raise UserError(
            f"run {paths.root.name} has no kept weights at {at or 'any point'}; kept are: {kept}"
        )
    point = at or points[-1]
    from dit_core.model.weights.files import write_released
    from dit_core.model.weights.folder import write_diffusers
    from dit_core.training.checkpoint import load_ema

    weights = load_ema(paths, point)
    write = write_released if to == "released" else write_diffusers
    write(out, weights, science)
    notes = _other_frequencies(to, science)
    facts = {
        "run_id": paths.root.name,
        "images_seen": point,
        "to": to,
        "out": str(out),
        "notes": notes,
    }
    if as_json:
        print_json(facts)
        return
    typer.echo(f"{out}: EMA of {paths.root.name} after {point:,} images, layout {to}")
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _other_frequencies(to: str, science: Science) -> list[str]:
    """Return a note where the target layout embeds time with other frequencies than the model."""
    model = science.model
    if not isinstance(model, Model) or model.time_frequencies == to:
        return []
    if to == "released":
        return [
            "the model has diffusers' time frequencies, which the released code lacks: outputs "
            "differ"
        ]
    return [
        "diffusers has other time frequencies than the released code: for the same samples set "
        "block.norm1.emb.time_proj.downscale_freq_shift = 0 in every block of "
        "model.transformer_blocks"
    ]


def _file_as_run(store: Store, run_id: str, found: Imported, path: Path) -> bool:
    """Write the run; return False where it was there already, whole."""
    from dit_core.records.attempt import start_attempt
    from dit_core.records.outcome import Outcome, read_outcome, write_outcome
    from dit_core.records.run_record import open_run
    from dit_core.records.run_state import has_snapshot
    from dit_core.training.checkpoint import save_snapshot

    paths = store.run(run_id)
    images = found.science.train.images
    if read_outcome(paths) is not None and has_snapshot(paths, images):
        return False
    open_run(paths, found.science)
    attempt = start_attempt(paths, device="none")
    attempt.note(imported_from=path.name, images_start=images)
    save_snapshot(paths, images, found.weights)
    attempt.end("done", images_seen=images, reason="imported")
    write_outcome(paths, Outcome("DONE", "imported", images, attempt.number))
    return True


def _one_of(option: str, word: str, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        raise UserError(
            f"{option} {word!r}{nearest(word, allowed)}; allowed are {', '.join(allowed)}"
        )
