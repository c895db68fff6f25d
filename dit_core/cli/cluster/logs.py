"""`ditlab logs STUDY RUN`: the log of a run's newest task."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import RunsArgument, StudyArgument, runs_of
from dit_core.errors import UserError
from dit_core.records.paths import Store

_BLOCK = 1 << 20


def logs(
    study: StudyArgument,
    words: RunsArgument = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Keep printing what is appended.")
    ] = False,
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, help="Last lines to show; 0 shows all.")
    ] = 50,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the last lines of the newest log of one run.

    The log is that of a training or evaluation task, of its first process.
    """
    from slurm.standing.gather import look
    from slurm.standing.history import log_files

    store = Store.at(results)
    name, runs = runs_of(study, store, words)
    if len(runs) != 1:
        raise UserError(
            f"{len(runs)} runs match; name one of them: {', '.join(r.run_id for r in runs[:8])}"
        )
    view = look(store, name, runs)
    found = log_files(runs[0], view.book)
    if as_json:
        print_json(
            [
                {
                    "path": str(f.path),
                    "task": f.task,
                    "trains": f.trains,
                    "lines": tail(f.path, lines),
                }
                for f in found
            ]
        )
        return
    if not found:
        raise UserError(
            f"run {runs[0].run_id}: no task has written a log yet; `ditlab why` shows its state"
        )
    newest = max(found, key=lambda f: f.path.stat().st_mtime).path
    print(f"==> {newest}")
    for line in tail(newest, lines):
        print(line)
    if follow:
        _follow(newest)


def tail(path: Path, lines: int) -> list[str]:
    """Return the last `lines` lines of a file, all for 0; at most the last megabyte is read."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(size - _BLOCK, 0) if lines else 0)
        text = file.read().decode(errors="replace").splitlines()
    return text[-lines:] if lines else text


def _follow(path: Path) -> None:
    with open(path, "rb") as file:
        file.seek(0, 2)
        while True:
            added = file.read()
            if added:
                print(added.decode(errors="replace"), end="", flush=True)
            else:
                time.sleep(0.5)
