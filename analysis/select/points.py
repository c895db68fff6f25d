"""From tables of runs and evaluations to a figure's points: one protocol, one setting.

Frames in, frames out. What is left out is counted, so that every figure can say n of N.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from analysis.select.configuration import MODEL, RARE, SETTING, config_key
from analysis.select.repeats import noise_of, scale_in, trainings_of
from dit_core.errors import UserError, nearest
from dit_core.study.catalogue.metrics import METRICS

_DESIGN = ("conditioning", "objective")


@dataclass(frozen=True)
class Points:
    """Rows to draw: `shown` of `of` runs have a value; `setting` says how they were measured."""

    frame: pd.DataFrame
    metric: str
    shown: int
    of: int
    setting: str
    left_out: tuple[str, ...] = field(default_factory=tuple)

    @property
    def n_of_n(self) -> str:
        """Return "9 of 12 runs; 3 with another conditioning not drawn"."""
        return "; ".join((f"{self.shown} of {self.of} runs", *self.left_out))

    @property
    def protocol(self) -> str:
        """Return the protocol's name, or all of them where they were mixed on request."""
        names = sorted(self.frame["protocol"].dropna().unique()) if "protocol" in self.frame else []
        return ", ".join(map(str, names)) or "not recorded"

    @property
    def footer(self) -> str:
        """Return the first line under a figure: n of N, setting, protocol."""
        parts = (self.n_of_n, self.setting, f"protocol {self.protocol}")
        return "; ".join(part for part in parts if part) + "."


def need(frame: pd.DataFrame, metric: str, command: str = "ditlab run STUDY") -> None:
    """Raise UserError where no row holds `metric`; the message names the measured ones."""
    if metric in frame.columns and frame[metric].notna().any():
        return
    if "eval_id" not in frame.columns or not frame["eval_id"].notna().any():
        raise UserError(
            f"no evaluation is recorded yet; `{command}` makes those that the study's `evaluate:` "
            "asks for, `ditlab status STUDY` shows the progress"
        )
    known = [c for c in frame.columns if f"{c}_low" in frame.columns or c in METRICS]
    have = ", ".join(c for c in known if frame[c].notna().any()) or "none"
    raise UserError(
        f"no evaluation holds the metric {metric!r}{nearest(metric, known)}; metrics in the "
        f"records: {have}; `{command}` with an `evaluate:` entry that measures it would make it"
    )


def one_protocol(frame: pd.DataFrame, metric: str, mix: bool = False) -> None:
    """Raise UserError where rows with a value come from two protocols, unless `mix`."""
    found = sorted(str(p) for p in frame.loc[frame[metric].notna(), "protocol"].dropna().unique())
    if len(found) > 1 and not mix:
        raise UserError(
            f"{metric}: rows of {len(found)} protocols ({', '.join(found)}) do not belong on one "
            f"axis; choose one with --where protocol={found[0]!r}, or draw them together with --mix"
        )


def select(frame: pd.DataFrame, where: dict[str, object] | None) -> pd.DataFrame:
    """Return the rows that `where` names (column to value or values).

    Raises UserError on an unknown column or value.
    """
    for column, value in (where or {}).items():
        if column not in frame.columns:
            raise UserError(f"no column {column!r}{nearest(column, frame.columns)} to select by")
        values = list(value) if isinstance(value, tuple | list) else [value]
        have = frame[column].dropna().unique().tolist()
        whole = ",".join(map(str, values))  # a name such as "size=XS,patch=2"
        values = [whole] if whole in have else values
        missing = [v for v in values if v not in have]
        if missing:
            shown = ", ".join(str(h) for h in have[:12]) or "nothing yet"
            word = nearest(str(missing[0]), map(str, have))
            raise UserError(
                f"no row with {column} = {missing[0]!r}{word}; the records hold {shown}"
            )
        frame = frame[frame[column].isin(values)]
    return frame


def main_setting(frame: pd.DataFrame, metric: str) -> dict[str, object]:
    """Return the evaluation setting that most runs share, as {column: value}.

    Of equally common ones, the one with the most sampling steps.
    """
    columns = [c for c in SETTING if c in frame.columns and c != "protocol"]
    rows = frame[frame[metric].notna()]
    if rows.empty or not columns:
        return {}
    counts = rows.groupby(columns, dropna=False)["run_id"].nunique().reset_index(name="_runs")
    order = ["_runs"] + (["steps"] if "steps" in columns else [])
    best = counts.sort_values(order, ascending=False, kind="stable").iloc[0]
    return {c: best[c] for c in columns}


def final_points(
    frame: pd.DataFrame,
    metric: str,
    *,
    mix: bool = False,
    same_design: bool = True,
    keep: tuple[str, ...] = (),
    every: bool = False,
) -> Points:
    """Return one row per run at its last training point, under the setting most runs share.

    `every` returns all training points instead.

    `same_design` keeps the conditioning design and objective that most runs have (the paper's
    scaling figures hold them fixed); `keep` names setting columns that may vary. Adds nothing,
    averages nothing; see `average_seeds`.
    """
    need(frame, metric)
    one_protocol(frame, metric, mix)
    of = frame["run_id"].nunique()  # "of N" counts the runs of other designs too
    rows, left_out = one_design(frame) if same_design else (frame, [])
    # A U-Net has no conditioning design, so a column may be empty here.
    design = [
        v for c in _DESIGN if same_design and c in rows for v in rows[c].dropna().unique()[:1]
    ]
    chosen = {c: v for c, v in main_setting(rows, metric).items() if c not in keep}
    here = _measured_so(rows[rows[metric].notna()], chosen)
    if "images_seen" in here and not every:
        here, early = at_the_end(here)
        left_out += [f"{early} measured at an earlier training point only"] if early else []
    varies = [*keep, *(["images_seen"] if every else [])]
    here = here.drop_duplicates(["run_id", *(k for k in varies if k in here)], keep="last")
    said = {c: v for c, v in chosen.items() if c not in RARE or rows[c].nunique() > 1}
    setting = _setting_text([str(v) for v in design], said, here)
    shown = here["run_id"].nunique()
    return Points(here.reset_index(drop=True), metric, shown, of, setting, tuple(left_out))


def _measured_so(rows: pd.DataFrame, setting: dict[str, object]) -> pd.DataFrame:
    """Return the rows with exactly this setting; a missing value means missing."""
    for column, value in setting.items():
        rows = rows[rows[column].isna() if pd.isna(value) else rows[column] == value]
    return rows


def at_the_end(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows of each run's last training point, and the number of runs left out.

    A run that was measured at a quarter of its training only does not stand beside one that was
    measured at its end.
    """
    last = frame.groupby("run_id")["images_seen"].transform("max")
    # A published system may not say how long it trained.
    rows = frame[(frame["images_seen"] == last) | last.isna()]
    if "train_images" not in rows:
        return rows, 0
    early = rows["images_seen"] < rows.groupby("train_images")["images_seen"].transform("max")
    return rows[~early], rows.loc[early, "run_id"].nunique()


def whole_lines(points: Points, x: str) -> Points:
    """Return the points without seeds that were measured at fewer `x` than their siblings.

    A mean over two seeds here and over one there is a kink that no model has.
    """
    rows = points.frame
    counts = rows.groupby("run_id")[x].transform("nunique")
    short = counts < counts.groupby(config_key(rows)).transform("max")
    if not short.any():
        return points
    fewer = rows.loc[short, "run_id"].nunique()
    left_out = (*points.left_out, f"{fewer} measured at fewer points than another seed not drawn")
    kept = rows[~short].reset_index(drop=True)
    return replace(points, frame=kept, shown=points.shown - fewer, left_out=left_out)


def one_design(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the most common design and objective, and what was left out."""
    said = []
    for column in _DESIGN:
        frame, out = _most_common(frame, column)
        said += out
    return frame, said


def _most_common(frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, list[str]]:
    if column not in frame or frame[column].nunique() < 2:
        return frame, []
    counts = frame.groupby(column)["run_id"].nunique().sort_values(ascending=False, kind="stable")
    value = counts.index[0]
    if counts.get("adaln-zero") == counts.max():
        value = "adaln-zero"  # the paper's design, of equally common ones
    others = int(counts.sum() - counts[value])
    kept = frame[(frame[column] == value) | frame[column].isna()]
    return kept, [f"{others} with another {column} not drawn"]


def _setting_text(design: list[str], chosen: dict[str, Any], rows: pd.DataFrame) -> str:
    known = {column: value for column, value in chosen.items() if not pd.isna(value)}
    words = list(design)
    if "sampler" in known and "steps" in chosen:
        words.append(f"{known['sampler']} {chosen['steps']:g} steps")
    elif "sampler" in known:
        words.append(f"{known['sampler']} sampler")
    if known.get("guidance", 1.0) != 1.0:
        words.append(f"guidance {known['guidance']:g}")
    if "samples" in known:
        words.append(f"{known['samples']:,.0f} samples")
    words += [f"{c.replace('_', ' ')} {chosen[c]}" for c in RARE if c in chosen]
    if "images_seen" in rows and rows["images_seen"].nunique() == 1:
        words.append(f"{rows['images_seen'].iloc[0]:,.0f} images seen")
    return ", ".join(words)


def average_seeds(frame: pd.DataFrame, metric: str, by: tuple[str, ...] = MODEL) -> pd.DataFrame:
    """Return one row per configuration: mean over seeds, `low` and `high`, and `seeds`.

    Low and high are the ends of the mean's 95 % interval by the noise model: from the frame's
    repeats, a prior where there are none, and the record's own interval. They are missing where
    neither seeds nor records tell any noise, as for a published number. `repeats` counts the
    frame's trainings beyond the first of each configuration.
    """
    keys = config_key(frame, by)
    scale = scale_in(frame, metric)
    model = noise_of(frame, metric, scale)
    rows = []
    for _, group in frame.groupby(keys, sort=False):
        row = group.iloc[0].to_dict()
        row[metric] = group[metric].astype(float).mean()
        trainings = trainings_of(group, metric, scale)
        known = model.repeats or any(t.sample_sd is not None for t in trainings)
        ends = model.interval(model.mean(trainings)) if known else (float("nan"), float("nan"))
        row["low"], row["high"] = ends
        rows.append(row | {"seeds": len(group), "repeats": model.repeats})
    return pd.DataFrame(rows)
