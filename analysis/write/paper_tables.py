"""The paper's tables 1 to 6, and the same tables of one's own results.

A table holds text and numbers with printed precision; its Markdown, CSV and LaTeX hold the same
cells. Missing cells are empty in CSV and a dash elsewhere, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.published import numbers as published
from analysis.select.configuration import config_names
from analysis.select.points import Points, average_seeds
from analysis.tables.order import size_order
from analysis.write.text_tables import (
    csv_table,
    latex_escape,
    latex_tabular,
    markdown_escape,
    markdown_table,
    quoted,
)
from dit_core.study.science.science import SIZES

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A table: `name` of its files, caption, header and cells; a missing cell is None."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    decimals: tuple[int | None, ...]
    """Decimals printed per column; None prints a number as it is."""

    @property
    def numeric(self) -> list[bool]:
        """Return for each column whether it holds numbers alone."""
        cells = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return [not any(isinstance(value, str) for value in column) for column in cells]

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
    """Return a Markdown table under its caption."""
    body = markdown_table(table.header, map(table.text, table.rows), table.numeric, missing="-")
    return f"**{markdown_escape(table.caption)}**\n\n{body}"


def to_csv(table: Table) -> str:
    """Return CSV, every text quoted and every number bare with its printed decimals."""
    rows = (map(_csv_field, row, table.text(row)) for row in table.rows)
    return csv_table(table.header, rows)


def _csv_field(value: Cell, printed: str) -> str:
    return quoted(printed) if isinstance(value, str) else printed


def latex(table: Table) -> str:
    """Return a LaTeX table (booktabs) with caption and label."""
    body = latex_tabular(table.header, map(table.text, table.rows), table.numeric, missing="--")
    label = "".join(c if c.isalnum() else "-" for c in table.name)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(table.caption)}}}",
        rf"\label{{tab:{label}}}",
        body + r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


FORMATS = {"md": markdown, "csv": to_csv, "tex": latex}


def of_frame(
    name: str, caption: str, frame: pd.DataFrame, columns: dict[str, tuple[str, int | None]]
) -> Table:
    """Return a table of some columns of a frame, {column: (heading, decimals)}.

    Columns that the frame lacks are left out.
    """
    chosen = {c: v for c, v in columns.items() if c in frame.columns}
    rows = [
        tuple(_cell(v) for v in row)
        for row in frame[list(chosen)].itertuples(index=False, name=None)
    ]
    heads = tuple(h for h, _ in chosen.values())
    return Table(name, caption, heads, tuple(rows), tuple(d for _, d in chosen.values()))


def _cell(value: object) -> Cell:
    if value is None or pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | int | float) else str(value)


# Columns of the published files: {column: (heading, decimals)}.
_QUALITY = {
    "fid50k": ("FID-50K", 2),
    "sfid": ("sFID", 2),
    "inception_score": ("IS", 2),
    "precision": ("Precision", 2),
    "recall": ("Recall", 2),
}
_CONFIGS = {
    "model": ("Model", None),
    "layers_N": ("Layers N", 0),
    "hidden_d": ("Hidden size d", 0),
    "heads": ("Heads", 0),
    "gflops": ("Gflops (I=32, p=4)", 1),
}
_GUIDED = {"model": ("Model", None), "cfg_scale": ("cfg", 2), **_QUALITY}
_SCALING = {
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
_DECODERS = {"decoder": ("VAE decoder", None), **_QUALITY}
_UNETS = {
    "model": ("Model", None),
    "resolution": ("Image", None),
    "base_gflops": ("Base Gflops (MACs)", 0),
    "upsampler_gflops": ("Upsampler Gflops", 0),
    "total_gflops": ("Total Gflops", 0),
}


def published_tables() -> list[Table]:
    """Return the paper's tables 1 to 6 from the published files."""
    four = published.table("dit_scaling")
    four = four[four["kind"].isin(("paper_scaling12", "paper_conditioning", "paper_longer_or_512"))]
    decoders = published.table("vae_decoder")
    unets = published.table("gflops_unet_baselines")
    unets = unets[unets["source"].str.startswith("paper Table 6")]
    title = "Table 5. VAE decoders, DiT-XL/2-G at 7M steps"
    return [
        of_frame("table1", "Table 1. DiT models", published.table("dit_configs"), _CONFIGS),
        of_frame("table2", "Table 2. Class-conditional ImageNet 256 px", _printed(256), _GUIDED),
        of_frame("table3", "Table 3. Class-conditional ImageNet 512 px", _printed(512), _GUIDED),
        of_frame("table4", "Table 4. All DiT models, ft-MSE decoder, no guidance", four, _SCALING),
        of_frame("table5", title, decoders, _DECODERS),
        of_frame("table6", "Table 6. Forward Gflops of the U-Net baselines", unets, _UNETS),
    ]


def _printed(pixels: int) -> pd.DataFrame:
    raw = published.table(f"imagenet{pixels}")
    return raw[raw["source"].str.startswith(f"paper Table {2 if pixels == 256 else 3}")]


_MODELS = {
    "model_size": ("Size", None),
    "layers": ("Layers N", 0),
    "hidden": ("Hidden size d", 0),
    "heads": ("Heads", 0),
}
_RESULTS = {
    "_name": ("Configuration", None),
    "model_size": ("Size", None),
    "patch": ("Patch", 0),
    "conditioning": ("Conditioning", None),
    "objective": ("Objective", None),
    "fwd_gmacs": ("Gflops (MACs)", 6),
    "params": ("Params", 0),
    "images_seen": ("Images seen", 0),
    "seeds": ("Seeds", 0),
}


def study_tables(points: Points) -> list[Table]:
    """Return a study's own tables 1 (models) and 4 (results; mean over seeds) from its points."""
    rows = _sorted(_with_names(average_seeds(points.frame, points.metric)))
    values = {points.metric: (points.metric, 3), "low": ("low", 3), "high": ("high", 3)}
    ends = "low and high: 95 % interval of the mean between trainings"
    caption = f"Results: {points.footer} {ends}"
    return [
        of_frame("table1", "Models of the study", _shapes(rows), _MODELS),
        of_frame("table4", caption, rows, {**_RESULTS, **values}),
    ]


def _with_names(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column of names where size and patch do not tell them apart."""
    names = config_names(rows, but=("conditioning", "objective"))
    if names.nunique() > len(rows[["model_size", "patch"]].drop_duplicates()):
        rows.insert(0, "_name", names)
    return rows


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    order = {size: i for i, size in enumerate(size_order(rows["model_size"]))}
    names = ["_name"] if "_name" in rows else []
    by = ["_size", "patch", "conditioning", *names, "fwd_gmacs"]
    return rows.assign(_size=rows["model_size"].map(order)).sort_values(by, kind="stable")


def _shapes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per size with its layers, hidden size and heads, where it is a named one."""
    sizes = rows.drop_duplicates("model_size").copy()
    for i, column in enumerate(("layers", "hidden", "heads")):
        sizes[column] = [SIZES[s][i] if s in SIZES else None for s in sizes["model_size"]]
    return sizes
