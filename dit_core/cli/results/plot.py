"""`ditlab plot STUDY --x ANY --y METRIC --by ANY`: any column against any other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dit_core.cli.shared.conditions import WhereOption, conditions
from dit_core.cli.shared.options import JsonOption, MixOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import StudyOrPublished, name_or_published
from dit_core.errors import UserError
from dit_core.records.paths import Store

if TYPE_CHECKING:
    from analysis.figures.plot_rows import Plot, Plotted

_FORMATS = ("png", "svg", "pdf")


def plot(
    study: StudyOrPublished,
    x: Annotated[str, typer.Option(help="Column of the horizontal axis, as train_lr.")],
    y: Annotated[
        str | None, typer.Option(help="Column of the vertical axis; default: the main metric.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Columns that tell series apart, separated by commas.")
    ] = None,
    facet: Annotated[str | None, typer.Option(help="Column with one panel per value.")] = None,
    best: Annotated[
        str | None, typer.Option(help="Show each point at its best value of this column.")
    ] = None,
    log: Annotated[str, typer.Option(help="Logarithmic axes: x, y or xy.")] = "",
    where: WhereOption = None,
    mix: MixOption = False,
    out: Annotated[
        Path | None, typer.Option(help="PNG, SVG or PDF file; its ending chooses the format.")
    ] = None,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw any column of the results against any other.

    Seeds are averaged; lines join models that differ in x alone.
    """
    from analysis.figures import style
    from analysis.figures.plot import draw_plot
    from analysis.figures.plot_rows import Plot
    from analysis.select.source import open_source

    if out is not None and out.suffix[1:] not in _FORMATS:
        raise UserError(f"--out {out}: the ending names no format; allowed are .png, .svg, .pdf")
    store = Store.at(results)
    name = name_or_published(study, store)
    source = open_source(name, store.root, None, conditions(where))
    columns = tuple(word for word in (by or "").split(",") if word.strip())
    asked = Plot(x, y or source.metric, columns, facet, best, log)
    with spinner("plot"):
        figure, shown = draw_plot(source, asked, mix)
        stem = out.with_suffix("") if out else _place(store, name, shown.plot, where)
        files = style.save(figure, stem, [out.suffix[1:]] if out else _FORMATS)
    if as_json:
        print_json({"study": name, "files": [str(f) for f in files], **_plain(shown)})
    else:
        print(files[0])


def _place(store: Store, study: str, shown: Plot, where: list[str] | None) -> Path:
    """Return the file's place without ending; the conditions are part of its name."""
    import re

    words = re.sub(r"[^\w.=-]+", "-", "-".join(["", *(where or [])]))
    return store.study(study) / "figures" / f"{shown.stem}{words}"


def _plain(shown: Plotted) -> dict[str, object]:
    """Return the rows of a plot and its footer as plain values."""
    import pandas as pd

    plot = shown.plot
    names = dict.fromkeys([*plot.columns, plot.y, "low", "high", "seeds", "series", "panel"])
    rows = shown.rows[list(names)].astype(object)
    rows = rows.where(pd.notna(rows), None)
    return {"footer": shown.footer, "rows": rows.to_dict("records")}
