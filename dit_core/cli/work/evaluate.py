"""`ditlab evaluate STUDY`: make the missing evaluations of trained runs; never trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dit_core.cli.shared.bar import bar
from dit_core.cli.shared.options import JsonOption, MaxRunsOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import StudyArgument, study_file
from dit_core.device import device_for
from dit_core.errors import DitlabError, UserError
from dit_core.records.paths import Store
from dit_core.study.grid.expand import MAX_RUNS


def evaluate(
    study: StudyArgument,
    results: ResultsOption = None,
    part: Annotated[
        str,
        typer.Option("--part", help="i/n: take every n-th batch from the i-th, for n processes."),
    ] = "1/1",
    few: Annotated[
        bool, typer.Option("--few", help="Allow fewer samples than features; marks the row.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Folder for the images; they are not kept otherwise."),
    ] = None,
    max_runs: MaxRunsOption = MAX_RUNS,
    as_json: JsonOption = False,
) -> None:
    """Make the missing evaluations of runs whose training has reached them.

    Several processes with --part 1/n … n/n share each evaluation batch by batch; the last to finish
    writes the record.
    """
    from dit_core.cli.shared.planning import make_plan
    from dit_core.records.run_state import has_record, has_snapshot

    rank, world = parse_part(part)
    store = Store.at(results)
    file = study_file(study, store)
    facts: dict[str, Any] = {"made": [], "unfinished": [], "waiting": [], "failed": {}}
    with bar("evaluations") as show:
        pending = []
        for run in make_plan(file, store, max_runs, few=few).runs:
            paths = store.run(run.run_id)
            for planned in run.evaluations:
                if has_record(paths, planned.eval_id):
                    continue
                ready = has_snapshot(paths, planned.evaluation.images_seen)
                pending.append((paths, run, planned)) if ready else facts["waiting"].append(
                    planned.eval_id
                )
        for _, run, _ in pending[:1]:  # one `execution` holds for all runs of a study
            device_for(run.execution.device, f"{file}: execution.device")
        for number, (paths, run, planned) in enumerate(pending):
            _one(paths, run, planned, facts, (rank, world, few, keep))
            show(number + 1, len(pending))
    if as_json:
        print_json(facts)
    else:
        _say(facts)
    if facts["failed"]:
        raise typer.Exit(1)


def _one(
    paths: Any,
    run: Any,
    planned: Any,
    facts: dict[str, Any],
    how: tuple[int, int, bool, Path | None],
) -> None:
    from dit_core.evaluate.one_evaluation import evaluate as carry_out

    rank, world, few, keep = how
    place = None if keep is None else keep / planned.eval_id
    try:
        record = carry_out(
            paths, run.science, planned, run.execution, rank=rank, world=world, few=few, keep=place
        )
    except DitlabError as error:
        facts["failed"][planned.eval_id] = str(error)
        return
    facts["unfinished" if "unfinished" in record else "made"].append(planned.eval_id)


def _say(facts: dict[str, Any]) -> None:
    counts = {name: len(facts[name]) for name in ("made", "unfinished", "waiting", "failed")}
    words = {
        "made": "made",
        "unfinished": "waiting for other parts",
        "waiting": "waiting for training (`ditlab run`)",
        "failed": "failed",
    }
    print(
        "evaluations: "
        + ", ".join(
            f"{count} {words[name]}" for name, count in counts.items() if count or name == "made"
        )
    )
    for key, reason in facts["failed"].items():
        print(f"failed: {key}: {reason}")


def parse_part(text: str) -> tuple[int, int]:
    """Return (rank from 0, world) of "i/n"; raise UserError for anything else."""
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise UserError(f"--part {text!r}: write i/n with 1 <= i <= n, as in 2/8")
    return int(i) - 1, int(n)
