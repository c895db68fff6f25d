"""`ditlab gc`: free space by policy, dry unless told to go, never a record."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import RecordError


def gc(
    go: Annotated[
        bool, typer.Option("--go", help="Remove; without it only say what would go.")
    ] = False,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints kept of a run that may go on.")] = 2,
    logs_days: Annotated[
        float | None, typer.Option(min=0, help="Also logs of ended runs this many days old.")
    ] = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Also measured EMA weights but the last.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove checkpoints nothing will resume, leftovers of killed writers; on demand logs and
    measured snapshots.
    """
    from dit_core.records.disk.files import read_json
    from dit_core.records.paths import Store
    from dit_core.records.upkeep import gc as collector

    store = Store.at(results)
    runs = sorted(p.name for p in store.runs.glob("[0-9a-f][0-9a-f]/*") if p.is_dir())
    plans = []
    for path in store.plans():
        try:
            plans.append(read_json(path))
        except RecordError:
            if snapshots:
                raise RecordError(
                    f"{path}: torn, so nobody knows which snapshots it still needs; mend it first"
                ) from None
    policy = collector.Policy(keep, logs_days, snapshots)
    items = list(collector.candidates(store, runs, policy, collector.asked_of(plans)))
    if go:
        for item in items:
            collector.remove(item)
    shown = [
        {
            "path": str(i.path.relative_to(store.root)),
            "kind": i.kind,
            "bytes": i.bytes,
            "why": i.why,
        }
        for i in items
    ]
    if as_json:
        print_json({"removed": go, "bytes": sum(i.bytes for i in items), "items": shown})
        return
    for row in shown:
        print(
            f"{'removed' if go else 'would remove'} {row['path']} ({row['bytes'] / 1e6:.1f} MB): "
            f"{row['why']}"
        )
    counts = (
        ", ".join(f"{n} {kind}s" for kind, n in sorted(Counter(i.kind for i in items).items()))
        or "nothing"
    )
    total = sum(i.bytes for i in items) / 1e6
    print(
        f"{counts}, {total:.1f} "
        f"MB{'' if go or not items else ': nothing was removed, --go removes'}"
    )
