"""`ditlab sample RUN`: a picture of a run's samples, classes by row, sampler settings by column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.bar import bar
from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import UserError
from dit_core.records.paths import RunPaths, Store

if TYPE_CHECKING:
    from dit_core.evaluate.samples.generate import Generator
    from dit_core.study.science.sampling import Sampling
    from dit_core.study.science.science import Science


def sample(
    run: Annotated[str, typer.Argument(help="A run's id, or enough of its beginning.")],
    steps: Annotated[
        str, typer.Option("--steps", help="Sampling steps, one column each, as 10,50.")
    ] = "50",
    guidance: Annotated[
        str, typer.Option("--guidance", help="Guidance scales, one column each, as 1,4.")
    ] = "1",
    sampler: Annotated[
        str | None, typer.Option("--sampler", help="Sampler; default ddpm, or euler for a flow.")
    ] = None,
    at: Annotated[
        int | None,
        typer.Option("--at", help="Training point in images seen; default: the last kept."),
    ] = None,
    classes: Annotated[int, typer.Option("--classes", help="Rows: classes from 0 on.")] = 10,
    per_class: Annotated[
        int, typer.Option("--per-class", help="Samples of a class and setting, side by side.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="PNG to write; default: in samples/ of the run.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Folder for the single images, too.")
    ] = None,
    vae: Annotated[
        str | None,
        typer.Option("--vae", help="VAE of a latent run: folder or OWNER/NAME@REVISION."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw samples of a trained run.

    Every column uses the same noise, so columns differ by their setting only.
    """
    from dit_core.device import device_for
    from dit_core.evaluate.samples.pictures import save_labelled
    from dit_core.records.run_record import read_science

    store = Store.at(results)
    paths = find_run(store, run)
    science = read_science(paths)
    if science.data.vectors:
        raise UserError(
            f"run {paths.root.name} makes vectors, of which there are no pictures; "
            "`ditlab evaluate STUDY --keep DIR` writes them as lines of numbers"
        )
    if classes < 1 or per_class < 1:
        raise UserError(f"--classes {classes} --per-class {per_class}: both must be at least 1")
    settings = _settings(
        science, sampler, _numbers("--steps", steps, int), _numbers("--guidance", guidance, float)
    )
    point = at if at is not None else _last_point(paths)
    rows = min(classes, science.data.classes)
    columns = []
    with bar("sampling") as show:
        for number, setting in enumerate(settings):
            generator = _generator(paths, science, setting, point, seed, vae, device_for(device))
            columns.append(_column(generator, rows, per_class))
            show(number + 1, len(settings))
    target = out or paths.root / "samples" / f"{point:012d}-{settings[0].sampler}-{seed}.png"
    headings = [_heading(setting) for setting in settings]
    save_labelled(target, columns, headings, [str(c) for c in range(rows)])
    if keep is not None:
        _keep(keep, columns, settings)
    if as_json:
        facts = {"run_id": paths.root.name, "images_seen": point, "file": str(target)}
        print_json({**facts, "columns": headings, "rows": rows})
    else:
        print(
            f"{target}: {rows} classes by {', '.join(headings)}; {point:,} images seen, "
            f"{settings[0].sampler}"
        )


def _heading(setting: Sampling) -> str:
    guided = f", g {setting.guidance:g}" if setting.guidance != 1 else ""
    return f"{setting.steps} steps{guided}"


def find_run(store: Store, word: str) -> RunPaths:
    """Return the run whose id begins with `word`; raise UserError where none or several do."""
    if not re.fullmatch(r"[0-9a-f]{2,16}", word):
        raise UserError(
            f"{word!r} is not a run id (2 to 16 hexadecimal digits); `ditlab plan STUDY` shows them"
        )
    found = sorted(
        path for path in (store.runs / word[:2]).glob(f"{word}*") if (path / "run.yaml").is_file()
    )
    if not found:
        raise UserError(
            f"no run {word!r} in {store.root}; `ditlab plan STUDY` shows the ids of a study"
        )
    if len(found) > 1:
        raise UserError(
            f"{word!r} is the beginning of {len(found)} runs: "
            f"{', '.join(p.name for p in found[:4])}"
        )
    return RunPaths(found[0])


def _numbers(option: str, text: str, kind: Any) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"{option} {text!r}: write numbers separated by commas, as in 10,50"
        ) from None


def _settings(
    science: Science, sampler: str | None, steps: list[int], scales: list[float]
) -> list[Sampling]:
    from pydantic import ValidationError

    from dit_core.study.price.steps import check_sampler
    from dit_core.study.science.guidance import misguided
    from dit_core.study.science.sampling import Sampling

    word: Any = sampler or ("euler" if science.objective.name == "flow" else "ddpm")
    made = []
    for count in steps:
        for scale in scales:
            try:
                made.append(Sampling(sampler=word, steps=count, guidance=scale))
            except ValidationError as error:
                first = error.errors()[0]
                raise UserError(
                    f"{'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}"
                ) from None
            check_sampler(science.objective, made[-1])
            if why := misguided(science, made[-1]):
                raise UserError(f"--guidance: {why}")
    return made


def _last_point(paths: RunPaths) -> int:
    points = [int(p.name) for p in paths.snapshots.glob("*") if p.name.isdecimal()]
    if not points:
        raise UserError(
            f"run {paths.root.name} has no kept weights yet; train it with `ditlab run`"
        )
    return max(points)


def _generator(
    paths: RunPaths,
    science: Science,
    setting: Sampling,
    point: int,
    seed: int,
    vae: str | None,
    device: str,
) -> Generator:
    import torch

    from dit_core.evaluate.samples.generate import Generator, network_of
    from dit_core.evaluate.samples.real_rows import rows_of
    from dit_core.study.science.sampling import Evaluation
    from dit_core.training.checkpoint import load_ema

    decode = None
    if science.data.kind == "latents":
        if vae is None:
            raise UserError(
                f"run {paths.root.name} makes latents; --vae names the VAE that turns them into "
                "images"
            )
        decode = _decode(vae, device)
    where = torch.device(device)
    model = network_of(science, load_ema(paths, point), where)
    evaluation = Evaluation(images_seen=point, samples=1, sampling=setting, seed=seed)
    rows = rows_of(science.data, "balanced", {})
    return Generator(model, science, evaluation, "balanced", where, decode, rows)


def _decode(vae: str, device: str) -> Any:
    from dit_core.data.latents.vae import find_vae

    folder = find_vae(vae)
    network: Any = folder.load(device)  # diffusers adds `decode` by a decorator without types
    scale = folder.scale
    return lambda latents: network.decode(latents.float() / scale).sample


def _column(generator: Generator, rows: int, per_class: int) -> Any:
    """Return images (rows, per_class, C, H, W): image k of class c is its k-th sample.

    With labels alone that is sample c + k * classes of the run; with more conditions it is the k-th
    row of the class.
    """
    import torch

    total = generator.science.data.classes
    numbers = [c + k * total for c in range(rows) for k in range(per_class)]
    if generator.rows is not None:
        labels = generator.rows.asked.labels.tolist()
        of_class = [[i for i, label in enumerate(labels) if label == c] for c in range(rows)]
        numbers = [
            of_class[c][k % len(of_class[c])] + k // len(of_class[c]) * len(labels)
            for c in range(rows)
            for k in range(per_class)
        ]
    images = torch.cat(
        [generator.images(numbers[i : i + 256]) for i in range(0, len(numbers), 256)]
    )
    return images.view(rows, per_class, *images.shape[1:]).cpu()


def _keep(folder: Path, columns: list[Any], settings: list[Sampling]) -> None:
    from dit_core.evaluate.samples.pictures import save_each

    for column, setting in zip(columns, settings, strict=True):
        place = folder / f"{setting.sampler}-{setting.steps}-g{setting.guidance:g}"
        for row, images in enumerate(column):
            save_each(place / str(row), images, range(len(images)))
