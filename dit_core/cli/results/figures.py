"""`ditlab figures STUDY|published`: the paper's figures and tables, from records or from the
published numbers.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import UserError
from dit_core.study.science.claim import number_or_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

StudyWord = Annotated[
    str,
    typer.Argument(metavar="STUDY|published", help="A study's name or YAML file, or published."),
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="COLUMN=VALUE[,VALUE]: only these rows.")
]
MixOption = Annotated[
    bool, typer.Option("--mix", help="Draw rows of different protocols on one axis.")
]


def figures(
    study: StudyWord,
    only: Annotated[
        str | None, typer.Option(help="Figures by name or the paper's number: 8,9.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; else results/studies/STUDY/figures.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="png, svg, pdf, separated by commas.")
    ] = "png,svg,pdf",
    metric: Annotated[
        str | None, typer.Option(help="Metric; else the main one of the protocol.")
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

    What the data do not allow is named with the command that would make it.
    """
    from analysis.figures.write import Written, differing, write_all
    from analysis.select.source import open_source
    from dit_core.records.paths import Store
    from dit_core.study.science.figure import FIGURES

    name, listed = study_figures(study)
    wanted = [_figure(w) for w in only.split(",")] if only else listed
    kinds = _formats(formats)
    source = open_source(name, results, metric, conditions(where))
    folder = out or Store.at(results).study(name) / "figures"

    def make(target: Path) -> Written:
        with progress("figures") as said:
            return write_all(
                source,
                target,
                wanted or list(FIGURES),
                formats=kinds,
                with_tables=tables,
                mix=mix,
                wanted=wanted,
                said=said,
            )

    if check:
        stale = differing(folder, make)
        _report_check(folder, stale, as_json)
        raise SystemExit(1 if stale else 0)
    done = make(folder)
    if as_json:
        print_json({"study": name, "files": [str(p) for p in done.files], "missing": done.missing})
        return
    for path in done.files:
        if path.suffix in (".png", ".md") or len(kinds) == 1:
            print(path)
    for reason in done.missing.values():
        print(f"not drawn: {reason}", file=sys.stderr)
    if not done.files:
        raise UserError(f"nothing of {name} could be drawn; see above")


def study_figures(word: str) -> tuple[str, list[str]]:
    """Return the study's name and the figures its file asks for; the word may be a name or a YAML
    file.
    """
    if not word.endswith((".yaml", ".yml")):
        return word, []
    from dit_core.study.language.spec import load_study

    loaded = load_study(Path(word))
    return loaded.name, [_figure(f) for f in loaded.figures]


def conditions(where: list[str] | None) -> dict[str, Any]:
    """Return `COLUMN=VALUE,VALUE` words as a selection; numbers become numbers.

    Raises UserError on another form.
    """
    chosen: dict[str, Any] = {}
    for word in where or []:
        column, equals, values = word.partition("=")
        if not equals or not column or not values:
            raise UserError(f"--where {word!r}: wants COLUMN=VALUE, or COLUMN=VALUE,VALUE")
        chosen[column.strip()] = [number_or_text(v.strip()) for v in values.split(",")]
    return chosen


def _figure(word: str) -> str:
    from dit_core.study.science.figure import figure_name

    try:
        return figure_name(word.strip())
    except ValueError as error:
        raise UserError(str(error)) from None


def _formats(words: str) -> list[str]:
    allowed = ("png", "svg", "pdf")
    chosen = [w.strip() for w in words.split(",")]
    wrong = [w for w in chosen if w not in allowed]
    if wrong:
        raise UserError(f"--formats {wrong[0]!r}: allowed are {', '.join(allowed)}")
    return chosen


def _report_check(folder: Path, stale: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "differing": stale})
    elif stale:
        print(
            f"{len(stale)} files in {folder} differ from the records or are missing: "
            f"{', '.join(stale)}"
        )
    else:
        print(f"all files in {folder} are what the records give")


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a name on a terminal's last line (stderr); quiet elsewhere."""
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda name: status.update(f"{what}: {name}")
