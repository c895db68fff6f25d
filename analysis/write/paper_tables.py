"""The paper's tables 1 to 6, and the same tables of one's own results: Markdown, CSV and LaTeX of
one frame.

A table is a frame of text and numbers with printed precision; the three formats hold the same
cells. Missing cells are empty in CSV and a dash elsewhere, never zero.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import pandas as pd

from analysis.published import numbers as published
from analysis.select.configuration import config_names
from analysis.select.points import Points, average_seeds
from analysis.tables.order import size_order
from dit_core.study.science.science import SIZES

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A table: `name` of its files, caption, header and cells (numbers as numbers, missing as
    None).
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    decimals: tuple[int | None, ...]
    """Decimals printed per column; None prints a number as it is."""

    def text(self, row: tuple[Cell, ...]) -> list[str]:
        """Return the printed cells of one row; a missing cell is empty."""
        return [_shown(value, places) for value, places in zip(row, self.decimals, strict=True)]


def _shown(value: Cell, places: int | None) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.{places}f}" if places is not None else f"{value:.15g}"


def markdown(table: Table) -> str:
    """Return a Markdown table under its caption; bars in cells are escaped."""
    lines = [
        f"**{_plain(table.caption)}**",
        "",
        _bars(table.header),
        _bars(["---"] * len(table.header)),
    ]
    lines += [_bars([cell or "-" for cell in table.text(row)]) for row in table.rows]
    return "\n".join(lines) + "\n"


def _bars(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(word: str) -> str:
    return " ".join(word.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def to_csv(table: Table) -> str:
    """Return CSV (RFC 4180, \\n).

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    for row in table.rows:
        words = table.text(row)
        writer.writerow(
            [_inert(w) if isinstance(v, str) else w for v, w in zip(row, words, strict=True)]
        )
    return out.getvalue()


def _inert(word: str) -> str:
    return "'" + word if word[:1] in ("=", "+", "-", "@", "\t", "\r") else word


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex_escape(word: str) -> str:
    """Return text that LaTeX prints as it is; control characters become blanks."""
    return "".join(_LATEX.get(c, c if c.isprintable() else " ") for c in word)


def latex(table: Table) -> str:
    """Return a LaTeX table (booktabs) with caption and label; every cell is escaped."""
    numeric = [
        all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.header))
    ]
    spec = "".join("r" if n else "l" for n in numeric)
    body = [
        " & ".join(latex_escape(c) or "--" for c in table.text(row)) + r" \\" for row in table.rows
    ]
    head = " & ".join(latex_escape(h) for h in table.header) + r" \\"
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(table.caption)}}}",
        rf"\label{{tab:{''.join(c if c.isalnum() else '-' for c in table.name)}}}",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


FORMATS = {"md": markdown, "csv": to_csv, "tex": latex}


def of_frame(
    name: str, caption: str, frame: pd.DataFrame, columns: dict[str, tuple[str, int | None]]
) -> Table:
    """Return a table of some columns of a frame: {column: (heading, decimals)}; absent columns are
    left out.
    """
    chosen = {c: v for c, v in columns.items() if c in frame.columns}
    rows = [
        tuple(_cell(v) for v in row)
        for row in frame[list(chosen)].itertuples(index=False, name=None)
    ]
    heads = tuple(h for h, _ in chosen.values())
    return Table(name, caption, heads, tuple(rows), tuple(d for _, d in chosen.values()))


def _cell(value: object) -> Cell:
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | int | float) else str(value)


_QUALITY = {
    "fid50k": ("FID-50K", 2),
    "sfid": ("sFID", 2),
    "inception_score": ("IS", 2),
    "precision": ("Precision", 2),
    "recall": ("Recall", 2),
}


def published_tables() -> list[Table]:
    """Return the paper's tables 1 to 6 from the published files."""
    configs = {
        "model": ("Model", None),
        "layers_N": ("Layers N", 0),
        "hidden_d": ("Hidden size d", 0),
        "heads": ("Heads", 0),
        "gflops": ("Gflops (I=32, p=4)", 1),
    }
    guided = {"model": ("Model", None), "cfg_scale": ("cfg", 2), **_QUALITY}
    scaling = {
        "model": ("Model", None),
        "block": ("Conditioning", None),
        "image_resolution_px": ("Image (px)", 0),
        "gflops_fwd(=GMACs)": ("Gflops (MACs)", 2),
        "params_M": ("Params (M)", 0),
        "train_steps_K": ("Training steps (K)", 0),
        "batch": ("Batch size", 0),
        "lr": ("Learning rate", None),
        "fid50k": ("FID-50K (no guidance)", 2),
    }
    four = published.table("dit_scaling")
    four = four[four["kind"].isin(("paper_scaling12", "paper_conditioning", "paper_longer_or_512"))]
    decoder = {"decoder": ("VAE decoder", None), **_QUALITY}
    unets = published.table("gflops_unet_baselines")
    unets = unets[unets["source"].str.startswith("paper Table 6")]
    baselines = {
        "model": ("Model", None),
        "resolution": ("Image", None),
        "base_gflops": ("Base Gflops (MACs)", 0),
        "upsampler_gflops": ("Upsampler Gflops", 0),
        "total_gflops": ("Total Gflops", 0),
    }
    return [
        of_frame("table1", "Table 1. DiT models", published.table("dit_configs"), configs),
        of_frame("table2", "Table 2. Class-conditional ImageNet 256 px", _printed(256), guided),
        of_frame("table3", "Table 3. Class-conditional ImageNet 512 px", _printed(512), guided),
        of_frame("table4", "Table 4. All DiT models, ft-MSE decoder, no guidance", four, scaling),
        of_frame(
            "table5",
            "Table 5. VAE decoders, DiT-XL/2-G at 7M steps",
            published.table("vae_decoder"),
            decoder,
        ),
        of_frame("table6", "Table 6. Forward Gflops of the U-Net baselines", unets, baselines),
    ]


def _printed(pixels: int) -> pd.DataFrame:
    raw = published.table(f"imagenet{pixels}")
    return raw[raw["source"].str.startswith(f"paper Table {2 if pixels == 256 else 3}")]


def study_tables(points: Points) -> list[Table]:
    """Return a study's own tables 1 (models) and 4 (results; mean over seeds) from its points."""
    rows = average_seeds(points.frame, points.metric)
    told = config_names(rows, but=("conditioning", "objective"))
    if told.nunique() > rows[["model_size", "patch"]].drop_duplicates().shape[0]:
        rows.insert(
            0, "told", told
        )  # equal sizes and patches that differ in something without a column of its own
    order = {s: i for i, s in enumerate(size_order(rows["model_size"]))}
    rows = rows.assign(_size=rows["model_size"].map(order)).sort_values(
        ["_size", "patch", "conditioning", *(["told"] if "told" in rows else []), "fwd_gmacs"],
        kind="stable",
    )
    sizes = rows.drop_duplicates("model_size").copy()
    for i, column in enumerate(("layers", "hidden", "heads")):
        sizes[column] = [SIZES[s][i] if s in SIZES else None for s in sizes["model_size"]]
    one = {
        "model_size": ("Size", None),
        "layers": ("Layers N", 0),
        "hidden": ("Hidden size d", 0),
        "heads": ("Heads", 0),
    }
    four = {
        "told": ("Configuration", None),
        "model_size": ("Size", None),
        "patch": ("Patch", 0),
        "conditioning": ("Conditioning", None),
        "objective": ("Objective", None),
        "fwd_gmacs": ("Gflops (MACs)", 6),
        "params": ("Params", 0),
        "images_seen": ("Images seen", 0),
        "seeds": ("Seeds", 0),
        points.metric: (points.metric, 3),
        "low": ("low", 3),
        "high": ("high", 3),
    }
    caption = f"Results: {points.footer} low and high: seeds where there are several, else the record's own interval"
    return [
        of_frame("table1", "Models of the study", sizes, one),
        of_frame("table4", caption, rows, four),
    ]
