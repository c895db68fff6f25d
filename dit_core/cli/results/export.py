"""`ditlab export STUDY`: its curves and results for TensorBoard, MLflow or Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.study_argument import StudyArgument, study_name
from dit_core.errors import UserError
from dit_core.records.paths import Store


def export(
    study: StudyArgument,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write TensorBoard files into this new folder.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(help="Mirror to the MLflow tracking store at this URI.")
    ] = None,
    wandb: Annotated[
        str | None, typer.Option(help="Mirror to this Weights & Biases project.")
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a study to another viewer.

    The records remain the source of truth; a copy can be made again at any time.
    """
    from analysis.write import mirror

    name = study_name(study, Store.at(results))
    done = {}
    if tensorboard is not None:
        done["tensorboard"] = mirror.to_tensorboard(name, tensorboard, results)
    if mlflow is not None:
        done["mlflow"] = mirror.to_mlflow(name, mlflow, results)
    if wandb is not None:
        done["wandb"] = mirror.to_wandb(name, wandb, results)
    if not done:
        raise UserError("name a target: --tensorboard FOLDER, --mlflow URI or --wandb PROJECT")
    if as_json:
        print_json(done)
        return
    for viewer, count in done.items():
        print(f"{viewer}: {count} runs of {name}")
    if tensorboard is not None:
        print(f"tensorboard --logdir {tensorboard}")
