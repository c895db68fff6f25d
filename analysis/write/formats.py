"""Tables as files that other programs read, and back again without a changed value.

Text is always quoted in CSV, so that an id such as 12e4567 stays text; a missing value is an empty
field, an empty text is "". In JSON a number that is not finite is null and named under
"_nonfinite".
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.write.text_tables import FORMULA, csv_table, latex_tabular, markdown_table, quoted
from dit_core.errors import DataError

FORMATS = ("table", "csv", "md", "latex", "json", "parquet")


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values."""
    return [{key: _plain(value) for key, value in row.items()} for row in table.to_pylist()]


def to_csv(table: pa.Table) -> str:
    """Return CSV with a header, every text quoted and every number bare."""
    rows = ([_field(value) for value in row.values()] for row in rows_of(table))
    return csv_table(table.column_names, rows)


def read_csv(text: str) -> pa.Table:
    """Return the table that `to_csv` wrote; raise DataError where the text is not of that form."""
    header, *rows = _csv_rows(text) or [[]]
    names = [str(value) for value in header]
    if any(len(row) != len(names) for row in rows):
        raise DataError("csv: a row has another number of fields than the header")
    return _typed_table({name: [row[i] for row in rows] for i, name in enumerate(names)})


def to_json(table: pa.Table) -> str:
    """Return a JSON list of objects.

    Numbers that are not finite are null, and stand as text under the key "_nonfinite".
    """
    rows = []
    for row in rows_of(table):
        bad = {k: str(v) for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)}
        whole = {k: None if k in bad else v for k, v in row.items()}
        if bad:
            whole["_nonfinite"] = bad
        rows.append(whole)
    return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False)


def read_json(text: str) -> pa.Table:
    """Return the table that `to_json` wrote."""
    columns: dict[str, list[Any]] = {}
    rows = json.loads(text)
    for number, row in enumerate(rows):
        for key, word in row.pop("_nonfinite", {}).items():
            row[key] = float(word)
        for key, value in row.items():
            columns.setdefault(key, [None] * number).append(value)
    return _typed_table(columns)


def to_parquet(table: pa.Table) -> bytes:
    """Return a Parquet file with page checksums."""
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def to_markdown(table: pa.Table) -> str:
    """Return a Markdown table; missing values are empty cells."""
    return markdown_table(table.column_names, _printed(table), _numeric(table))


def to_latex(table: pa.Table) -> str:
    """Return a LaTeX tabular with booktabs rules; missing values are empty cells."""
    return latex_tabular(table.column_names, _printed(table), _numeric(table))


def _printed(table: pa.Table) -> list[list[str]]:
    return [[short(value) for value in row.values()] for row in rows_of(table)]


def _numeric(table: pa.Table) -> list[bool]:
    return [is_number(field.type) for field in table.schema]


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _csv_rows(text: str) -> list[list[Any]]:
    """Return the fields of our CSV: quoted ones as text, others as number, truth value or None."""
    rows: list[list[Any]] = []
    row: list[Any] = []
    place = 0
    while place < len(text):
        quote = text[place] == '"'
        value, place = _quoted_field(text, place) if quote else _bare_field(text, place)
        row.append(value)
        if text[place : place + 1] == ",":
            place += 1
            if text[place : place + 2] not in ("", "\r\n"):
                continue
            row.append(None)  # nothing after the last comma of a line: a missing value
        if text[place : place + 2] == "\r\n":
            place += 2
        elif place < len(text):
            raise DataError(f"csv: {text[place : place + 20]!r} follows a closed quote")
        rows.append(row)
        row = []
    return rows


def _quoted_field(text: str, place: int) -> tuple[str, int]:
    """Return the text of the quoted field that starts at `place`, and where it ends."""
    end = text.find('"', place + 1)
    while end >= 0 and text[end + 1 : end + 2] == '"':  # a doubled quote is part of the text
        end = text.find('"', end + 2)
    if end < 0:
        raise DataError("csv: a quote is never closed")
    word = text[place + 1 : end].replace('""', '"')
    guarded = word.startswith("'") and word[1:].startswith(FORMULA)
    return word[1:] if guarded else word, end + 1


def _bare_field(text: str, place: int) -> tuple[Any, int]:
    """Return the value of the unquoted field that starts at `place`, and where it ends."""
    ends = (text.find(",", place), text.find("\r\n", place))
    end = min((p for p in ends if p >= 0), default=len(text))
    return _bare(text[place:end]), end


def _bare(word: str) -> Any:
    if word in ("", "true", "false"):
        return {"": None, "true": True, "false": False}[word]
    try:
        return int(word) if word.lstrip("-").isdigit() else float(word)
    except ValueError:
        raise DataError(f"csv: {word!r} is neither quoted nor a number") from None


def _typed_table(columns: dict[str, list[Any]]) -> pa.Table:
    return pa.table({name: _typed(values) for name, values in columns.items()})


def _typed(values: Sequence[Any]) -> pa.Array:
    """Return a column in the one type its values have: whole numbers beside others are numbers."""
    if any(type(v) is float for v in values):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array(values)


def short(value: Any) -> str:
    """Return a value for reading: six significant digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column of this Arrow type holds numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
