"""`ditlab diff RUN RUN`: what differs in science and in results."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json


def diff(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="Run id, the start of one, a name, or STUDY/NAME.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The other run.")],
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how two runs differ: science, cost, outcome, and every metric measured alike."""
    from analysis.select import differ
    from analysis.tables import query as engine
    from dit_core.cli.results.query import bring_up
    from dit_core.records.paths import Store

    with closing(engine.connect(bring_up(Store.at(results)))) as con:
        found = differ.differences(con, first, second)
    if as_json:
        print_json(asdict(found))
        return
    print(f"a: {found.a}\nb: {found.b}\n")
    print(_pairs("field", found.science) or "same science\n", end="")
    print("\n" + _pairs("fact", found.facts), end="")
    print("\n" + (_table(found.results) or "no evaluation was made alike in both\n"), end="")
    if found.only_a or found.only_b:
        print(f"evaluations without a counterpart: {found.only_a} of a, {found.only_b} of b")


def _table(rows: list[dict[str, Any]]) -> str:
    import pyarrow as pa

    from analysis.write.terminal import fitted, terminal_width

    if not rows:
        return ""
    return fitted(pa.Table.from_pylist(rows), terminal_width(), hint="--json has all")


def _pairs(what: str, pairs: dict[str, tuple[Any, Any]]) -> str:
    return _table([{what: k, "a": _word(a), "b": _word(b)} for k, (a, b) in pairs.items()])


def _word(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:g}" if isinstance(value, float) else str(value)
