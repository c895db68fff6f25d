"""Rows of a claim in groups that are alike but for one column."""

from __future__ import annotations

import pandas as pd

from analysis.claims.rows import CONFIGURATION
from analysis.select.configuration import MODEL
from dit_core.errors import UserError
from dit_core.study.science.claim import Statement

_NAMES_A_RUN = ("model", "name", "run_id")  # columns whose values differ between any two models


def groups_of(rows: pd.DataFrame, within: tuple[str, ...]) -> list[tuple[str, pd.DataFrame]]:
    """Return (prefix for messages, rows) of every group with equal values in `within`.

    Raises UserError for a column that the rows do not have.
    """
    if not within:
        return [("", rows)]
    for column in within:
        if column not in rows.columns:
            raise UserError(f"`within: [{column}]`: the rows have no such column")
    groups = rows.groupby(list(within), sort=False)
    return [(f"{' '.join(map(str, key))}: ", group) for key, group in groups]


def check_alike(group: pd.DataFrame, by: str, claim: Statement, name: str) -> None:
    """Raise UserError where rows with an equal value of `by` are of different configurations."""
    if by in _NAMES_A_RUN or group.groupby(by)[CONFIGURATION].nunique().max() <= 1:
        return
    for column in MODEL:
        if column == by or column not in group:
            continue
        for _, same in group.groupby(by):
            values = same[column]
            if values.nunique() > 1:
                found = ", ".join(map(str, sorted(values.dropna().unique(), key=str)[:6]))
                raise UserError(
                    f"claim {claim.id!r}: {name}rows with equal {by} differ in {column} ({found}); "
                    "put it into `where:` or `within:`"
                )
