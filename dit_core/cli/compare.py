"""`ditlab compare STUDY --by model.conditioning`: results side by side, differences held against the noise."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from dit_core.cli.options import JsonOption, ResultsOption, print_json


def compare(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or YAML file.")],
    by: Annotated[str, typer.Option(help="The column whose values stand side by side, as model.conditioning.")],
    metric: Annotated[str | None, typer.Option(help="The metric; else the first distance that was measured.")] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the runs of a study that differ in one column (and in seeds), with intervals and the noise floor."""
    import pyarrow as pa

    from analysis import load
    from analysis.compare import compare as compare_frames
    from analysis.show import fitted, terminal_width
    from dit_core.cli.study_word import study_name

    frame = load.results(results, study_name(study))
    found = compare_frames(frame, by, metric)
    if as_json:
        print_json(asdict(found))
        return
    floors = sorted({row["noise_floor"] for row in found.rows} - {None})
    hidden = () if len(floors) > 1 else ("noise_floor",)
    rows = [{k: v for k, v in row.items() if k not in hidden} for row in found.rows]
    if rows:
        print(fitted(pa.Table.from_pylist(rows), terminal_width()), end="")
    else:
        print(f"no two measured runs differ in {found.by} alone", file=sys.stderr)
    floor = "unknown (no repeats over seeds)" if found.floor is None else f"{found.floor:.4g} ({found.repeats} repeats)"
    if len(floors) > 1:
        floor = f"{floors[0]:.4g} to {floors[-1]:.4g}, by how a row was measured ({found.repeats} repeats)"
    print(f"noise floor of {found.metric}: {floor}; apart means: intervals apart and difference above the floor")
    if found.left_out:
        print(f"{found.left_out} evaluations have no counterpart that differs in {found.by} alone")
