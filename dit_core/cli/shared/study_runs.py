"""The runs of a study that a command is about: by the file's path, or by the name of a study in the
store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dit_core.errors import UserError, nearest
from dit_core.records.paths import Store
from dit_core.records.plan import read_plan, study_names
from dit_core.study.grid.expand import MAX_RUNS, expand
from dit_core.study.language.spec import load_study
from dit_core.study.science.run import Run

WhichStudy = Annotated[
    str, typer.Argument(metavar="STUDY", help="The study's YAML file, or its name in the results.")
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN…]", help="Runs by id, beginning of an id or name; or model.size=XL."
    ),
]


def runs_of(study: str, store: Store, words: list[str] | None) -> tuple[str, tuple[Run, ...]]:
    """Return (the study's name, the runs chosen); raise UserError where there is no such file,
    study or run.
    """
    from dit_core.study.grid.select import select

    path = Path(study)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        loaded = load_study(path)
        return loaded.name, select(expand(loaded, max_runs=MAX_RUNS).runs, words or [])
    if study not in study_names(store):
        known = study_names(store)
        raise UserError(
            f"{study!r} is no file and no study in {store.root}{nearest(study, known)}; "
            f"studies there: {', '.join(known) or 'none'}"
        )
    return study, select(read_plan(store, study), words or [])
