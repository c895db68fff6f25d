"""One law is about one way of training: several lengths or learning rates are refused."""

from __future__ import annotations

import pandas as pd

from dit_core.errors import UserError

MIXED = {"train_images": "training lengths", "train_lr": "learning rates"}
"""Columns that change the result and that no law over compute, size or patch knows of."""


def need_one_training(frame: pd.DataFrame) -> None:
    """Raise UserError where the runs of a law differ in length or learning rate."""
    for column, what in MIXED.items():
        if column not in frame or frame[column].nunique() < 2:
            continue
        counts = frame.groupby(column)["run_id"].nunique()
        shown = ", ".join(f"{v:,.10g} ({n} runs)" for v, n in counts.items())
        most = counts.idxmax()
        raise UserError(
            f"the runs have {len(counts)} {what}: {shown}; one law over all of them would mix what "
            f"they change with what compute changes; choose one with --where {column}={most:.10g}"
        )
