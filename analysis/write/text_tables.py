"""CSV, Markdown and LaTeX: the one place that lays out a table as text and escapes its cells.

Numbers arrive printed; what a number looks like is decided where the table is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# First characters at which a spreadsheet takes a text for a formula. The apostrophe that guards
# against it is guarded too, so that reading removes exactly what writing added.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def csv_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return CSV (RFC 4180); fields come encoded: a text by `quoted`, a number printed."""
    lines = [map(quoted, header), *rows]
    return "".join(",".join(line) + "\r\n" for line in lines)


def quoted(text: str) -> str:
    """Return a text as a CSV field, led by an apostrophe where a spreadsheet would run it."""
    guarded = f"'{text}" if text.startswith(FORMULA) else text
    return '"' + guarded.replace('"', '""') + '"'


def markdown_table(
    header: Sequence[str], rows: Iterable[Iterable[str]], numeric: Iterable[bool], missing: str = ""
) -> str:
    """Return a Markdown table, columns of numbers to the right; `missing` stands for no text."""
    marks = ["---:" if right else "---" for right in numeric]
    lines = [[markdown_escape(name) for name in header], marks]
    lines += [[markdown_escape(cell) or missing for cell in row] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def markdown_escape(word: str) -> str:
    """Return a text that Markdown prints as it is, on one line."""
    escaped = word.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())


def latex_tabular(
    header: Sequence[str], rows: Iterable[Iterable[str]], numeric: Iterable[bool], missing: str = ""
) -> str:
    """Return a LaTeX tabular with booktabs rules; `missing` stands for no text."""
    columns = "".join("r" if right else "l" for right in numeric)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(header, missing),
        r"\midrule",
        *(_latex_row(row, missing) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Iterable[str], missing: str) -> str:
    return " & ".join(latex_escape(cell) or missing for cell in cells) + r" \\"


def latex_escape(word: str) -> str:
    """Return a text that LaTeX prints as it is; control characters become blanks."""
    return "".join(_LATEX.get(c, c if c.isprintable() else " ") for c in word)
