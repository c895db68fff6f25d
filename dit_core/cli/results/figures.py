"""`ditlab figures STUDY|published`: the paper's figures and tables, drawn from records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.conditions import WhereOption, conditions
from dit_core.cli.shared.options import JsonOption, MixOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import StudyOrPublished, is_file, name_or_published
from dit_core.errors import UserError
from dit_core.records.paths import Store
from dit_core.study.language.spec import load_study

if TYPE_CHECKING:
    from analysis.figures.write import Written

_FORMATS = ("png", "svg", "pdf")


def figures(
    study: StudyOrPublished,
    only: Annotated[
        str | None, typer.Option(help="Figures by name or the paper's number: 8,9.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; default results/studies/STUDY/figures.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="png, svg, pdf, separated by commas.")
    ] = "png,svg,pdf",
    metric: Annotated[
        str | None, typer.Option(help="Metric; default: the main one of the protocol.")
    ] = None,
    where: WhereOption = None,
    mix: MixOption = False,
    tables: Annotated[bool, typer.Option(help="Write the tables too.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 where files differ.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the paper's figures and tables.

    A figure that the data do not allow is named with the command that fills the gap.
    """
    from analysis.figures.write import differing, write_all
    from analysis.select.source import open_source

    store = Store.at(results)
    name = name_or_published(study, store)
    wanted = [_figure(word) for word in only.split(",")] if only else _listed(study)
    kinds = _kinds(formats)
    source = open_source(name, store.root, metric, conditions(where))
    folder = out or store.study(name) / "figures"

    def make(target: Path) -> Written:
        with spinner("figures") as show:
            return write_all(
                source,
                target,
                wanted,
                formats=kinds,
                with_tables=tables,
                mix=mix,
                said=show,
            )

    if check:
        stale = differing(folder, make)
        _print_check(folder, stale, as_json)
        raise SystemExit(1 if stale else 0)
    _print_written(name, make(folder), kinds, as_json)


def _listed(study: str) -> list[str]:
    """Return the figures that the study's file asks for; none where a name was given."""
    if not is_file(study):
        return []
    return [_figure(name) for name in load_study(Path(study)).figures]


def _figure(word: str) -> str:
    from dit_core.study.catalogue.figures import figure_name

    try:
        return figure_name(word.strip())
    except ValueError as error:
        raise UserError(str(error)) from None


def _kinds(words: str) -> list[str]:
    chosen = [word.strip() for word in words.split(",")]
    for word in chosen:
        if word not in _FORMATS:
            raise UserError(f"--formats {word!r}: allowed are {', '.join(_FORMATS)}")
    return chosen


def _print_check(folder: Path, stale: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "differing": stale})
    elif stale:
        names = ", ".join(stale)
        print(f"{len(stale)} files in {folder} differ from the records or are missing: {names}")
    else:
        print(f"all files in {folder} match the records")


def _print_written(name: str, done: Written, kinds: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"study": name, "files": [str(p) for p in done.files], "missing": done.missing})
        return
    for path in done.files:
        if path.suffix in (".png", ".md") or len(kinds) == 1:
            print(path)
    for reason in dict.fromkeys(done.missing.values()):
        names = [n for n, why in done.missing.items() if why == reason]
        what = "" if len(names) == 1 else f"{', '.join(names)}: "
        print(f"not drawn: {what}{reason}", file=sys.stderr)
    if not done.files:
        raise UserError(f"nothing of {name} could be drawn; see above")
