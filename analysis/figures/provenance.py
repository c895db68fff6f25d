"""Where a figure's numbers come from: the hash of its table and the commit that made it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pandas as pd

from dit_core import __version__


@dataclass(frozen=True, slots=True)
class Provenance:
    """Hash of the table a figure was drawn from and the commit of the numbers: one footer line."""

    table_sha256: str
    commit: str | None = None
    remark: str = ""

    @classmethod
    def of(cls, frame: pd.DataFrame, commit: str | None = None, remark: str = "") -> Provenance:
        """Return the provenance of a frame; rows and columns in any order have the same hash."""
        return cls(table_hash(frame), commit, remark)

    @property
    def text(self) -> str:
        """Return the footer: "table 1a2b3c4d5e6f · commit 0123456789 · ditlab 0.1.0"."""
        where = f" · commit {self.commit[:10]}" if self.commit else ""
        before = f"{self.remark} · " if self.remark else ""
        return f"{before}table {self.table_sha256[:12]}{where} · ditlab {__version__}"


def table_hash(frame: pd.DataFrame) -> str:
    """Return the sha256 of a table's content, 64 hex digits, in whatever order its cells come."""
    columns = sorted(map(str, frame.columns))
    rows = sorted(
        "\x1f".join("" if pd.isna(v) else repr(v) for v in row) for row in _plain(frame, columns)
    )
    return hashlib.sha256("\x1e".join(["\x1f".join(columns), *rows]).encode()).hexdigest()


def _plain(frame: pd.DataFrame, columns: list[str]) -> list[list[object]]:
    plain = frame.rename(columns=str)[columns].astype(object)
    return [[_scalar(v) for v in row] for row in plain.itertuples(index=False, name=None)]


def _scalar(value: object) -> object:
    if isinstance(value, list | tuple | dict):
        return str(value)
    value = value.item() if hasattr(value, "item") else value
    # 400 and 400.0 are one value: which of them a loader yields depends on missing cells elsewhere
    # in the column.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
