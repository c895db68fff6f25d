"""Options that many commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", help="Results folder; else $DITLAB_RESULTS, else ./results."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")
]
MixOption = Annotated[
    bool, typer.Option("--mix", help="Put rows of different protocols on one axis.")
]
MaxRunsOption = Annotated[
    int, typer.Option("--max-runs", help="Refuse a study with more runs than this.")
]

AllowEmptyOption = Annotated[
    bool, typer.Option("--allow-empty", help="Accept a study without runs.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Show every run, not the first 40.")]
TrainAnywayOption = Annotated[
    bool,
    typer.Option("--train-anyway", help="Train also where an evaluation could not be made here."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
PartOption = Annotated[
    str, typer.Option("--part", help="i/n: take every n-th piece from the i-th, for n processes.")
]
PointOption = Annotated[
    int | None,
    typer.Option("--at", help="Training point in images seen; default: the last kept."),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or enough of its beginning.")
]


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")
