"""`ditlab pack STUDY` and `ditlab unpack FILE`: one archive of a study's records and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import StudyArgument, study_name


def pack(
    study: StudyArgument,
    out: Annotated[
        Path | None, typer.Option(help="The archive; default STUDY.tar.gz here.")
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="With the EMA snapshots.")] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack a study's records, plan and report into one archive in which every file is hashed."""
    from dit_core.records.paths import Store
    from dit_core.records.plan import read_plan
    from dit_core.records.upkeep import pack as packing

    store = Store.at(results)
    name = study_name(study, store)
    runs = [run.run_id for run in read_plan(store, name)]
    target = (out or Path(f"{name}.tar.gz")).absolute()
    manifest = packing.pack(store, name, runs, target, weights=weights)
    there = sum((store.run(run).run_yaml).exists() for run in runs)
    facts = {
        "archive": str(target),
        "files": len(manifest["files"]),
        "runs": there,
        "planned_runs": len(runs),
    }
    if as_json:
        print_json({**facts, "bytes": target.stat().st_size})
        return
    print(
        f"{target.name}: {facts['files']} files of {there} of {len(runs)} runs, "
        f"{target.stat().st_size / 1e6:.1f} MB"
    )


def unpack(
    archive: Annotated[
        Path, typer.Argument(metavar="FILE", help="An archive made by `ditlab pack`.")
    ],
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an archive's records to the results, checked first; nothing is ever overwritten."""
    from dit_core.records.paths import Store
    from dit_core.records.upkeep import pack as packing

    store = Store.at(results)
    counts = packing.unpack(archive, store)
    if as_json:
        print_json(counts)
        return
    print(f"{counts['new']} files added to {store.root}, {counts['there']} existed already")
