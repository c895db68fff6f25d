"""`ditlab compare STUDY --by COLUMN`: results side by side, differences beside the noise."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import StudyArgument, study_name
from dit_core.records.paths import Store

_ENDS = ("difference_low", "difference_high")


def compare(
    study: StudyArgument,
    by: Annotated[
        str, typer.Option(help="The column whose values stand side by side, as model.conditioning.")
    ],
    metric: Annotated[
        str | None, typer.Option(help="The metric; default: the first distance that was measured.")
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the runs of a study that differ in one column (and in seeds).

    Differences come with intervals and are compared with the noise between seeds.
    """
    import pyarrow as pa

    from analysis.select.compare import compare as compare_frames
    from analysis.select.source import rows_elsewhere
    from analysis.tables import load
    from analysis.write.terminal import fitted, terminal_width

    store = Store.at(results)
    frame = load.results(store.root, study_name(study, store))
    found = compare_frames(frame, by, metric, rows_elsewhere(store.root, frame["run_id"]))
    if as_json:
        print_json(asdict(found))
        return
    rows = found.rows
    if rows:
        table = pa.Table.from_pylist(rows)
        keep, last = important(rows, found.by, found.metric)
        print(fitted(table, terminal_width(), keep=keep, last=last, hint="--json has all"), end="")
    else:
        print(f"no two measured runs differ in {found.by} alone", file=sys.stderr)
    size = f"{found.noise * 100:.2g} %" if found.noise_is_share else f"{found.noise:.3g}"
    print(
        f"noise of {found.metric} between trainings: {size} ({found.noise_source}); apart means: "
        "the 95 % interval of this one difference excludes 0"
    )
    if found.left_out:
        print(f"{found.left_out} evaluations have no counterpart that differs in {found.by} alone")


def important(rows: list[dict[str, Any]], by: str, metric: str) -> tuple[list[str], list[str]]:
    """Return the columns of the answer, and those a narrow terminal drops, the last one first."""
    answer = [by, metric, "difference", "verdict"]
    same = [c for c in rows[0] if c not in answer and len({row[c] for row in rows}) == 1]
    ends = [
        *_ENDS,
        *(c for c in same if c not in (*_ENDS, "low", "high")),
        "low",
        "high",
    ]
    return answer, [c for c in ends if c in rows[0]]
