"""What figures read of a source: their rows, where those come from, and the paper's beside them."""

from __future__ import annotations

import pandas as pd

from analysis.figures.provenance import Provenance
from analysis.select.points import need
from analysis.select.source import Source

_DIGITISED = "read off the paper's figure, reading error 0.1 to 0.8 FID"


def rows_of(source: Source, *tables: str) -> pd.DataFrame:
    """Return the rows a figure reads: all of a study, of the paper those of the tables named.

    Raises UserError where a study has no value of its metric yet.
    """
    if source.is_published:
        return source.results[source.results["table"].isin(tables)]
    need(source.results, source.metric, f"ditlab run {source.name}")
    return source.results


def provenance_of(source: Source, frame: pd.DataFrame) -> Provenance:
    """Return the provenance of a frame of the source, with what must be said of its numbers."""
    tables = set(frame["table"]) if source.is_published and "table" in frame else set()
    remarks = [_DIGITISED] if any(table.startswith("figure") for table in tables) else []
    if "marks" in frame:
        remarks += sorted(set(frame["marks"].dropna()))
    return Provenance.of(frame, source.commit, " · ".join(remarks))


def is_measured_as(source: Source, protocol: str) -> bool:
    """Return whether a study was measured by a protocol of the paper: both may share an axis."""
    if source.is_published or "protocol" not in source.results:
        return False
    return source.metric == "fid" and protocol in set(source.results["protocol"].dropna())
