"""How a study is named on the command line: by its YAML file, or by its name in the results."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated

import typer

from dit_core.errors import UserError
from dit_core.records.measured import measured_archives, reading_store
from dit_core.records.paths import Store
from dit_core.records.plan import read_plan, study_names
from dit_core.study.grid.expand import MAX_RUNS, expand
from dit_core.study.grid.select import select
from dit_core.study.language.spec import load_study
from dit_core.study.science.run import Run

PUBLISHED = "published"
_HELP = "A study's YAML file, or the name of a study in the results"
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help=f"{_HELP}.")]
StudyOrPublished = Annotated[
    str,
    typer.Argument(metavar="STUDY|published", help=f"{_HELP}; or published: the paper's numbers."),
]
RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN…]", help="Runs by id, beginning of an id or name; or model.size=XL."
    ),
]


def study_file(word: str, store: Store) -> Path:
    """Return the YAML file of a study: the one given, or the one kept in the results.

    Raises UserError with the nearest study where the word is neither.
    """
    if is_file(word):
        return Path(word)
    _check_known(word, store)
    return reading_store(word, store).study_yaml(word)


def study_name(word: str, store: Store) -> str:
    """Return the name of a study; raise UserError with the nearest where there is none."""
    if is_file(word):
        return load_study(Path(word)).name
    _check_known(word, store)
    return word


def name_or_published(word: str, store: Store) -> str:
    """Return the name of a study, or `published` for the paper's numbers."""
    return word if word == PUBLISHED else study_name(word, store)


def runs_of(word: str, store: Store, words: list[str] | None) -> tuple[str, tuple[Run, ...]]:
    """Return (the study's name, the runs that `words` choose); raise UserError for unknown ones.

    A file gives the runs it expands to now, a name those of the study as it last ran.
    """
    if is_file(word):
        study = load_study(Path(word))
        return study.name, select(expand(study, max_runs=MAX_RUNS).runs, words or [])
    _check_known(word, store)
    return word, select(read_plan(reading_store(word, store), word), words or [])


def is_file(word: str) -> bool:
    """Return whether a word means a file: by its ending, by a separator, or because it is one."""
    if word.endswith((".yaml", ".yml")) or os.sep in word:
        return True
    return Path(word).is_file()


def _check_known(word: str, store: Store) -> None:
    names = study_names(store)
    measured = measured_archives()
    if word in names or word in measured:
        return
    files = [*Path().glob("studies/*.yaml"), *Path().glob("*.yaml")]
    known = {file.stem: str(file) for file in files} | {n: n for n in (*names, *measured)}
    hits = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    nearest = f", did you mean {known[hits[0]]!r}?" if hits else ""
    raise UserError(
        f"{word!r} is neither a YAML file nor a study in {store.root}{nearest}; "
        f"studies there: {', '.join(names) or 'none'}; measured: {', '.join(measured)}"
    )
