"""Results and the paper's tables are written by one writer: equal cells give equal text."""

from __future__ import annotations

import pyarrow as pa
import pytest

from analysis.write import formats, paper_tables

WORDS = ["a|b", "<b>", "50%_&", "=1+1", 'a "b"', "12e4567", "\\x~^", "two\nlines"]


@pytest.fixture
def both():
    found = pa.table({"name": WORDS, "value": [None, *range(1, len(WORDS))]})
    cells = tuple(zip(found["name"].to_pylist(), found["value"].to_pylist(), strict=True))
    return found, paper_tables.Table("t", "c", ("name", "value"), cells, (None, None))


def test_csv_is_the_same_and_is_read_back(both):
    found, table = both
    assert paper_tables.to_csv(table) == formats.to_csv(found)
    assert formats.read_csv(paper_tables.to_csv(table)).equals(found)


def test_markdown_and_latex_differ_in_the_sign_for_missing_alone(both):
    found, table = both
    markdown = paper_tables.markdown(table).split("\n\n")[1]
    assert markdown.replace("| - |", "|  |") == formats.to_markdown(found)
    assert "<b>" not in markdown
    latex = paper_tables.latex(table).replace(r"& -- \\", r"&  \\")
    assert formats.to_latex(found) in latex
    assert r"\textless{}b\textgreater{}" in latex
