"""`ditlab gc`: free space by policy, dry unless told to go, never a record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import RecordError

if TYPE_CHECKING:
    from dit_core.records.paths import Store
    from dit_core.records.upkeep.gc import Item


def gc(
    go: Annotated[
        bool, typer.Option("--go", help="Remove; without it only show what would go.")
    ] = False,
    keep: Annotated[
        int, typer.Option(min=1, help="Checkpoints kept of a run that may resume.")
    ] = 2,
    logs_days: Annotated[
        float | None, typer.Option(min=0, help="Also logs of ended runs this many days old.")
    ] = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Also measured EMA weights but the last.")
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove checkpoints that nothing will resume, and leftovers of killed writers.

    Logs and measured snapshots go on demand. Records are never removed.
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
                    f"{path}: torn, so the snapshots it needs are unknown; repair it first"
                ) from None
    policy = collector.Policy(keep, logs_days, snapshots)
    items = list(collector.candidates(store, runs, policy, collector.asked_of(plans)))
    if go:
        for item in items:
            collector.remove(item)
    if as_json:
        rows = [
            {"path": _place(store, i), "kind": i.kind, "bytes": i.bytes, "why": i.why}
            for i in items
        ]
        print_json({"removed": go, "bytes": sum(i.bytes for i in items), "items": rows})
    else:
        _print(store, items, go)


def _place(store: Store, item: Item) -> str:
    return str(item.path.relative_to(store.root))


def _print(store: Store, items: list[Item], go: bool) -> None:
    for item in items:
        verb = "removed" if go else "would remove"
        print(f"{verb} {_place(store, item)} ({item.bytes / 1e6:.1f} MB): {item.why}")
    kinds = Counter(item.kind for item in items)
    counts = ", ".join(f"{n} {kind}s" for kind, n in sorted(kinds.items())) or "nothing"
    total = sum(item.bytes for item in items) / 1e6
    note = "" if go or not items else ": nothing was removed, --go removes"
    print(f"{counts}, {total:.1f} MB{note}")
