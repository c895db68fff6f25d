"""How every figure looks: one theme, one colour per size, one marker per patch, stable files.

Colours run from dark to light with the size, so that a grey print keeps the order; patch sizes
differ by marker and conditioning designs by line style too: nothing is told by colour alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.order import size_order
from dit_core.study.catalogue.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1b1f"
QUIET = "#5f6068"
GRID = "#dcdde2"
ACCENT = "#b3261e"
WIDTH_IN = 7.2  # a page's text width; half of it is a column
FORMATS = ("png", "svg", "pdf")
MARKERS = {1: "D", 2: "o", 4: "s", 8: "^", 16: "v"}


def metric_name(metric: str) -> str:
    """Return a metric's name for an axis; the column's name for an unknown one."""
    known = METRICS.get(metric)
    return known.label if known else metric


def metric_label(metric: str) -> str:
    """Return a metric's name for an axis, with the direction that is better."""
    known = METRICS.get(metric)
    if known is None or known.better is None:
        return metric_name(metric)
    return f"{known.label} ({known.better} is better)"


@cache
def _plt() -> Any:
    """Import matplotlib once, on the Agg canvas, with our settings."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(context="paper", style="ticks", palette="colorblind", rc=_RC)
    return plt


_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # names come from users: "$\\foo$" is a name, not mathematics
    "text.usetex": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.hashsalt": "ditlab",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "axes.unicode_minus": True,
}


def new_figure(
    columns: int = 1, rows: int = 1, *, width: float = WIDTH_IN, height: float = 3.4, **kw: Any
) -> tuple[Figure, Any]:
    """Return (Figure, axes) in the house theme; width and height in inches for the whole figure.

    The axes are one Axes, or an array of them as `plt.subplots` returns it.
    """
    figure, axes = _plt().subplots(
        rows, columns, figsize=(width, height), layout="constrained", **kw
    )
    return figure, axes


def size_colours(sizes: Iterable[str]) -> dict[str, Any]:
    """Return one colour per model size, dark for small to light for large (`size_order`)."""
    return shades(size_order(sizes))


def shades(names: Iterable[str]) -> dict[str, Any]:
    """Return one colour per name, from dark to light in the order given."""
    _plt()
    import matplotlib as mpl

    ordered = list(names)
    scale = mpl.colormaps["viridis"]
    spread = max(1, len(ordered) - 1)
    return {name: scale(0.82 * i / spread) for i, name in enumerate(ordered)}


def marker(patch: Any) -> str:
    """Return the marker of a patch size."""
    try:
        return MARKERS.get(int(patch), "P")
    except (TypeError, ValueError):
        return "P"


def clean(name: Any, longest: int = 40) -> str:
    """Return a name as it can be drawn: one line, glyphs that the font has, at most `longest`."""
    text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(name))
    text = "".join(c if ord(c) in _glyphs() else "\N{REPLACEMENT CHARACTER}" for c in text)
    text = " ".join(text.split()) or "(no name)"
    return text if len(text) <= longest else text[: longest - 1] + "…"


@cache
def _glyphs() -> frozenset[int]:
    _plt()
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def log_axis(axis: Any, values: Iterable[float]) -> None:
    """Make an axis logarithmic, with limits just around `values`.

    Its ticks are plain numbers (0.1, 1, 10) or powers of ten.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    found = [v for v in values if v is not None and v > 0]
    low, high = (min(found), max(found)) if found else (1.0, 10.0)
    # At least two of the ticks 1, 2, 5 must lie inside: with fewer, linear ones come, and their
    # long numbers overlap.
    pad = max((high / low) ** 0.08, 1.25, (6.5 * low / high) ** 0.5)
    setter = axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    setter(low / pad, high * pad)
    narrow = high * pad / (low / pad) < 60
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """Return a tick's number without mathematics markup: 0.01, 1, 200, 2×10⁹."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:,.6g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if mantissa == "1" else f"{mantissa}×10{raised}"


def count(value: float) -> str:
    """Return a number of images or FLOPs in short: 400, 96K, 1.5M, 7B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def count_axis(axis: Any) -> None:
    """Write an axis of images as 50M, 100M."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda v, _: count(v)))


def halo() -> list[Any]:
    """Return a white rim for text that may cross a line."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.2, foreground="white")]


def footer(fig: Figure, lines: Sequence[str]) -> None:
    """Put lines under a figure, small and grey: n of N, protocol, hash of the table, commit."""
    import textwrap

    width = int(fig.get_figwidth() * 21)
    text = "\n".join(t for line in lines if line for t in textwrap.wrap(clean(line, 400), width))
    fig.supxlabel(text, x=0.01, ha="left", fontsize=6, color=QUIET, linespacing=1.35)


def close(fig: Figure) -> None:
    """Release a figure's memory."""
    _plt().close(fig)


def settle(fig: Figure) -> None:
    """Lay the figure out once and keep it so.

    What is placed by measuring afterwards stays where it was measured.
    """
    if fig.get_layout_engine() is not None:
        fig.draw_without_rendering()
        fig.set_layout_engine("none")


def note(ax: Axes, text: str, where: str = "upper right") -> None:
    """Put a short remark into a corner of an axis on a white ground."""
    x, ha = (0.98, "right") if "right" in where else (0.02, "left")
    y, va = (0.98, "top") if "upper" in where else (0.02, "bottom")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.0}
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        ha=ha,
        va=va,
        fontsize=8,
        linespacing=1.4,
        bbox=box,
        zorder=6,
    )


def save(fig: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure as `stem`.png/.svg/.pdf without dates or versions and close it."""
    import io

    from dit_core.records.disk.files import write_atomic

    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
    }
    paths = []
    for kind in formats:
        buffer = io.BytesIO()
        fig.savefig(buffer, format=kind, metadata=metadata[kind], facecolor="white")
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomic(path, buffer.getvalue())
        paths.append(path)
    _plt().close(fig)
    return paths
