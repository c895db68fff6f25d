"""What a plot of any column against any other holds: one row per configuration, and its lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.select.configuration import MODEL, SETTING, config_key, config_names
from analysis.select.points import (
    Points,
    average_seeds,
    final_points,
    one_protocol,
    whole_lines,
)
from analysis.select.source import Source
from analysis.tables.order import rank
from dit_core.errors import UserError, nearest
from dit_core.study.catalogue.metrics import METRICS

_TRAINED = ("images_seen", "train_flops")
_SAMPLED = ("sampling_gmacs", "steps")
_SIZE = ("model_size", "model_depth", "model_hidden", "model_heads")


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot asked for: `x`, `y`, `by`, `facet` and `best` are columns, `log` is x, y or xy."""

    x: str
    y: str
    by: tuple[str, ...] = ()
    facet: str | None = None
    best: str | None = None
    log: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns it names but `y`."""
        return tuple(dict.fromkeys([self.x, *self.by, *filter(None, (self.facet, self.best))]))

    @property
    def stem(self) -> str:
        """Its file name without ending: "plot-fd_digits-train_lr-by-model_size"."""
        words = ["plot", self.y, self.x, *(["by", *self.by] if self.by else [])]
        words += ["facet", self.facet] if self.facet else []
        words += ["best", self.best] if self.best else []
        return "-".join([*words, *(["log", self.log] if self.log else [])])


@dataclass(frozen=True, slots=True)
class Plotted:
    """Its rows (with low, high, seeds, `series`, `line` and `panel`) and what a footer says."""

    plot: Plot
    rows: pd.DataFrame
    footer: str
    is_joined: bool


def plotted(source: Source, plot: Plot, mix: bool = False) -> Plotted:
    """Return what a plot shows.

    Seeds are averaged; a line joins configurations that differ in `x` alone, and those without such
    a counterpart are left out and counted. Raises UserError for an unknown column, a `y` without
    numbers, and rows of two protocols unless `mix`.
    """
    frame = _one_table(source, plot)
    plot = _checked(frame, plot)
    points = _measured(frame, plot, mix)
    kept = _kept(plot)
    rows = average_seeds(points.frame, plot.y, tuple(dict.fromkeys((*MODEL, *kept))))
    notes: list[str] = []
    if plot.best:
        rows, said = _best(rows, plot, kept)
        notes.append(said)
    rows["panel"] = _words(rows, (plot.facet,)) if plot.facet else ""
    rows["series"] = _words(rows, plot.by) if plot.by else ""
    rows, is_joined, said = _lines(rows, plot, kept)
    notes.append(said)
    is_drawn = config_key(points.frame).isin(set(config_key(rows)))
    points = replace(points, shown=points.frame.loc[is_drawn, "run_id"].nunique())
    rows = _named(rows)
    footer = " ".join([points.footer, *(f"{n[:1].upper()}{n[1:]}." for n in notes if n)])
    return Plotted(plot, rows.reset_index(drop=True), footer, is_joined)


def _one_table(source: Source, plot: Plot) -> pd.DataFrame:
    """Return the rows of a study; of the paper's numbers those of one table."""
    rows = source.results
    if not source.is_published or plot.y not in rows:
        return rows
    names = sorted(rows.loc[rows[plot.y].notna(), "table"].unique())
    if len(names) > 1:
        raise UserError(
            f"{plot.y}: the paper prints it in {len(names)} tables ({', '.join(names)}); choose "
            f"one with --where table={names[0]}"
        )
    return rows[rows["table"].isin(names)]


def _checked(frame: pd.DataFrame, plot: Plot) -> Plot:
    """Return the plot with the columns' names as the table has them: train.lr is train_lr."""

    def column(option: str, word: str) -> str:
        name = word.strip().replace(".", "_")
        if name in frame:
            return name
        raise UserError(
            f"--{option} {word!r}: no such column{_nearest(name, frame)}; "
            '`ditlab query "DESCRIBE results"` lists them'
        )

    if plot.log not in ("", "x", "y", "xy"):
        raise UserError(f"--log {plot.log!r}: allowed are x, y, xy")
    y = column("y", plot.y)
    if not pd.api.types.is_numeric_dtype(frame[y]) or frame[y].notna().sum() == 0:
        what = "holds no number yet" if frame[y].isna().all() else "holds text, not numbers"
        raise UserError(f"--y {plot.y!r}: that column {what}; give a metric, as fd_digits")
    return replace(
        plot,
        x=column("x", plot.x),
        y=y,
        by=tuple(column("by", word) for word in plot.by),
        facet=column("facet", plot.facet) if plot.facet else None,
        best=column("best", plot.best) if plot.best else None,
    )


def _nearest(name: str, frame: pd.DataFrame) -> str:
    """Return the nearest column; one of a section may be meant by its last words: lr, train_lr."""
    ending = [c for c in frame.columns if c.endswith(f"_{name}")]
    return f", did you mean {ending[0]!r}?" if len(ending) == 1 else nearest(name, frame.columns)


def _kept(plot: Plot) -> tuple[str, ...]:
    """Return the columns that may vary between rows beside those of the model."""
    kept = list(plot.columns)
    kept += ["images_seen"] if set(_TRAINED) & set(kept) else []
    kept += ["steps"] if "sampling_gmacs" in kept else []
    return tuple(dict.fromkeys(kept))


def _measured(frame: pd.DataFrame, plot: Plot, mix: bool) -> Points:
    """Return the rows with a value, each objective under the setting that most of its runs share.

    A sampler fits one objective only, so both have settings of their own; the footer names both.
    """
    if "protocol" in frame:
        one_protocol(frame, plot.y, mix)
    of = frame["run_id"].nunique()
    frame = frame[frame[plot.y].notna() & frame[plot.x].notna()]
    if frame.empty:
        raise UserError(f"no row has both {plot.x} and {plot.y}")
    kept = _kept(plot)
    keep = tuple(c for c in kept if c in SETTING)
    every = "images_seen" in kept
    groups = [frame]
    if "objective" in frame:
        groups = [g for _, g in frame.groupby("objective", dropna=False)]
    parts = [
        final_points(g, plot.y, mix=mix, same_design=False, keep=keep, every=every) for g in groups
    ]
    if plot.x in (*_TRAINED, *_SAMPLED):
        parts = [whole_lines(part, plot.x) for part in parts]
    return Points(
        pd.concat([part.frame for part in parts], ignore_index=True),
        plot.y,
        sum(part.shown for part in parts),
        of,
        " and ".join(dict.fromkeys(part.setting for part in parts)),
        tuple(dict.fromkeys(text for part in parts for text in part.left_out)),
    )


def _best(rows: pd.DataFrame, plot: Plot, kept: tuple[str, ...]) -> tuple[pd.DataFrame, str]:
    """Return of each configuration the row with the best mean over the values of `best`."""
    metric = METRICS.get(plot.y)
    if metric is None or metric.better is None:
        raise UserError(f"--best {plot.best}: {plot.y} has no better direction; give a metric")
    others = tuple(c for c in (*MODEL, *kept) if c != plot.best)
    sign = 1 if metric.better == "lower" else -1
    order = (rows[plot.y] * sign).sort_values(kind="stable").index
    chosen = rows.loc[order]
    chosen = chosen[~config_key(chosen, others).duplicated()].sort_index()
    values = sorted(chosen[str(plot.best)].dropna().unique(), key=rank)
    said = ", ".join(_plain(v) for v in values)
    return chosen, f"each point at its best {plot.best} ({said}), chosen by the values shown"


def _lines(rows: pd.DataFrame, plot: Plot, kept: tuple[str, ...]) -> tuple[pd.DataFrame, bool, str]:
    """Return the rows with their `line`, whether lines are drawn, and what is to be said of it."""
    x = plot.x
    same = {x, *(_TRAINED if x in _TRAINED else ()), *(_SAMPLED if x in _SAMPLED else ())}
    same |= {plot.best} if plot.best else set()
    if x.startswith("objective"):
        same |= {c for c in MODEL if c.startswith("objective")}
    if x in ("patch", "model_patch", "conditioning", "model_conditioning"):
        same |= {x.removeprefix("model_")}
    others = tuple(c for c in (*MODEL, *kept) if c not in same)
    rows["line"] = config_key(rows, others) + "|" + rows["panel"] + "|" + rows["series"]
    count = rows.groupby("line")[x].transform("nunique")
    if (count > 1).any():
        alone = int((count < 2).sum())
        points = f"{alone} {'point' if alone == 1 else 'points'}"
        said = (
            f"{points} without a counterpart that differs in {x} alone not drawn" if alone else ""
        )
        return rows[count > 1].copy(), True, said
    # A column that follows from the network (its compute, its parameters): a line joins the sizes
    # of one family, never two designs or patches.
    others = tuple(c for c in others if c not in _SIZE)
    rows["line"] = config_key(rows, others) + "|" + rows["panel"] + "|" + rows["series"]
    is_joined = not rows.duplicated(["line", x]).any()
    return rows, is_joined, "" if is_joined else f"no two models differ in {x} alone: no lines"


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a `series` that tells lines apart, naming only what differs."""
    for _, group in rows.groupby("series"):
        if group.groupby("panel")["line"].nunique().max() > 1:
            first = group.drop_duplicates("line")
            spans_sizes = group.groupby("line")["model_size"].nunique().max() > 1
            labels = _differing(first) if spans_sizes else config_names(first)
            names = dict(zip(first["line"], labels, strict=True))
            word = group["series"].map(lambda text: f"{text}, " if text else "")
            rows.loc[group.index, "series"] = word + group["line"].map(names)
    return rows


def _differing(rows: pd.DataFrame) -> pd.Series:
    """Return a name for each line over several sizes: the values of all else that differs."""
    others = [c for c in MODEL if c in rows and c not in _SIZE]
    return _words(rows, tuple(c for c in others if rows[c].nunique(dropna=False) > 1))


def _words(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """Return what a legend says of some columns: "XXS, patch 2"."""
    parts = [rows[c].map(lambda v, c=c: _word(c, v)) for c in columns]
    return pd.Series([", ".join(row) for row in zip(*parts, strict=True)], index=rows.index)


def _word(column: str, value: object) -> str:
    return value if isinstance(value, str) else f"{column} {_plain(value)}"


def _plain(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "none"
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
