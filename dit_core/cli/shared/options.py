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


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")
