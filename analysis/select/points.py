"""From the tables of runs and evaluations to the points of a figure: joined, one protocol, one
setting, seeds averaged.

Frames in, frames out. What is left out is counted, so that every figure can say n of N.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd

from analysis.select.configuration import MODEL, config_key
from analysis.select.sampling_cost import sampling_gmacs
from dit_core.errors import UserError, nearest
from dit_core.study.price.cost import train_flops_of

RUN_COLUMNS = (
    "run_id",
    "name",
    "study",
    "model_size",
    "patch",
    "conditioning",
    "objective",
    "seed",
    "params",
    "tokens",
    "fwd_gmacs",
    "train_flops",
    "outcome",
)
EVAL_COLUMNS = (
    "run_id",
    "eval_id",
    "images_seen",
    "sampler",
    "steps",
    "guidance",
    "protocol",
    "samples",
)
_RARE = (
    "eta",
    "clip",
    "guidance_channels",
    "guidance_start",
    "guidance_end",
    "sample_seed",
)  # named where they vary
SETTING = ("protocol", "sampler", "steps", "guidance", "samples", "weights", *_RARE)


@dataclass(frozen=True)
class Points:
    """Rows ready to be drawn: `shown` of `of` runs have a value; `setting` says how they were
    measured.
    """

    frame: pd.DataFrame
    metric: str
    shown: int
    of: int
    setting: str
    left_out: tuple[str, ...] = field(default_factory=tuple)

    @property
    def n_of_n(self) -> str:
        """Return "9 of 12 runs", with what was left out: "9 of 12 runs; 3 with another conditioning
        not drawn".
        """
        return "; ".join((f"{self.shown} of {self.of} runs", *self.left_out))

    @property
    def protocol(self) -> str:
        """Return the protocol's name, or all of them where they were mixed on request."""
        names = sorted(self.frame["protocol"].dropna().unique()) if "protocol" in self.frame else []
        return ", ".join(map(str, names)) or "not recorded"

    @property
    def footer(self) -> str:
        """Return the first line under a figure: n of N, setting, protocol."""
        return (
            "; ".join(w for w in (self.n_of_n, self.setting, f"protocol {self.protocol}") if w)
            + "."
        )


def join(runs: pd.DataFrame, evals: pd.DataFrame) -> pd.DataFrame:
    """Return one row per evaluation with its run's columns; `train_flops` is what was spent up to
    its training point.

    Runs without an evaluation stay, as one row without metrics: they count in "n of N".
    """
    ends = (
        runs.set_index("run_id")["images_seen"]
        if {"images_seen"} <= set(runs) & set(evals)
        else None
    )
    if ends is not None:  # an evaluation's training point, not the run's end
        runs = runs.drop(columns="images_seen")
    extra = [c for c in evals.columns if c == "run_id" or c not in runs.columns]
    frame = runs.merge(evals[extra], on="run_id", how="left", validate="one_to_many")
    if ends is not None:
        frame["images_seen"] = frame["images_seen"].fillna(frame["run_id"].map(ends))
    if "images_seen" in frame and "fwd_gmacs" in frame:
        frame["train_flops"] = train_flops_of(1e9, 1) * frame["fwd_gmacs"] * frame["images_seen"]
    if "steps" in frame and "fwd_gmacs" in frame:
        frame["sampling_gmacs"] = sampling_gmacs(frame)
    return frame


def need(frame: pd.DataFrame, metric: str, command: str = "ditlab run STUDY") -> None:
    """Raise UserError where no row holds `metric`, naming the metrics there are and the command
    that would make it.
    """
    if metric in frame.columns and frame[metric].notna().any():
        return
    known = [c for c in frame.columns if f"{c}_low" in frame.columns or c in ("fid", "fd_digits")]
    have = ", ".join(c for c in known if frame[c].notna().any()) or "none"
    raise UserError(
        f"no evaluation holds the metric {metric!r}{nearest(metric, known)}; metrics in the "
        f"records: {have}; "
        f"`{command}` with an `evaluate:` entry that measures it would make it"
    )


def one_protocol(frame: pd.DataFrame, metric: str, mix: bool = False) -> None:
    """Raise UserError where rows with a value come from two protocols, unless `mix`."""
    found = sorted(str(p) for p in frame.loc[frame[metric].notna(), "protocol"].dropna().unique())
    if len(found) > 1 and not mix:
        raise UserError(
            f"{metric}: rows of {len(found)} protocols ({', '.join(found)}) do not belong on one "
            "axis; "
            f"choose one with --where protocol={found[0]!r}, or draw them together with --mix"
        )


def select(frame: pd.DataFrame, where: dict[str, object] | None) -> pd.DataFrame:
    """Return the rows that `where` names (column to value or values); raise UserError on an unknown
    column or value.
    """
    for column, value in (where or {}).items():
        if column not in frame.columns:
            raise UserError(f"no column {column!r}{nearest(column, frame.columns)} to select by")
        values = list(value) if isinstance(value, tuple | list) else [value]
        have = frame[column].dropna().unique().tolist()
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
    """Return the evaluation setting that the most runs share (ties: the most sampling steps), as
    column to value.
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
    """Return one row per run at its last training point (`every`: at all of them), under the
    setting most runs share.

    `same_design` keeps the conditioning design and objective that most runs have (the paper's
    scaling figures hold them fixed); `keep` names setting columns that may vary. Adds nothing,
    averages nothing; see `average_seeds`.
    """
    need(frame, metric)
    one_protocol(frame, metric, mix)
    rows = frame
    of = frame["run_id"].nunique()  # what another design leaves out is of the whole, and said
    left_out: list[str] = []
    setting: list[str] = []
    if same_design:
        rows, left_out = one_design(rows)
        # a U-Net has no conditioning design
        setting = [
            str(v)
            for c in ("conditioning", "objective")
            if c in rows
            for v in rows[c].dropna().unique()[:1]
        ]
    chosen = {c: v for c, v in main_setting(rows, metric).items() if c not in keep}
    here = rows[rows[metric].notna()]
    for column, value in chosen.items():
        here = here[here[column].isna() if pd.isna(value) else here[column] == value]
    if "images_seen" in here and not every:
        here, early = at_the_end(here)
        left_out += [f"{early} measured at an earlier training point only"] if early else []
    varies = [*keep, *(["images_seen"] if every else [])]
    here = here.drop_duplicates(["run_id", *(k for k in varies if k in here)], keep="last")
    rare = {c: chosen[c] for c in _RARE if c in chosen and rows[c].nunique() > 1}
    words = _words(setting, {c: v for c, v in chosen.items() if c not in _RARE} | rare, here)
    return Points(
        here.reset_index(drop=True), metric, here["run_id"].nunique(), of, words, tuple(left_out)
    )


def at_the_end(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows of each run's last training point, and how many runs stay behind others of
    equal length.

    A run that was measured at a quarter of its training only does not stand beside one that was
    measured at its end.
    """
    last = frame.groupby("run_id")["images_seen"].transform("max")
    rows = frame[
        (frame["images_seen"] == last) | last.isna()
    ]  # a published system may not say how long it trained
    if "train_images" not in rows:
        return rows, 0
    early = rows["images_seen"] < rows.groupby("train_images")["images_seen"].transform("max")
    return rows[~early], rows.loc[early, "run_id"].nunique()


def whole_lines(points: Points, x: str) -> Points:
    """Return the points without the seeds of a configuration that were measured at fewer `x` than
    its others.

    A mean over two seeds here and over one there is a kink that no model has.
    """
    rows = points.frame
    counts = rows.groupby("run_id")[x].transform("nunique")
    short = counts < counts.groupby(config_key(rows)).transform("max")
    if not short.any():
        return points
    fewer = rows.loc[short, "run_id"].nunique()
    said = (*points.left_out, f"{fewer} measured at fewer points than another seed not drawn")
    return replace(
        points, frame=rows[~short].reset_index(drop=True), shown=points.shown - fewer, left_out=said
    )


def one_design(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of the conditioning design and objective that most runs have, and what was
    left out in words.
    """
    said = []
    for column in ("conditioning", "objective"):
        frame, out = _most_common(frame, column)
        said += out
    return frame, said


def _most_common(frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, list[str]]:
    if column not in frame or frame[column].nunique() < 2:
        return frame, []
    counts = frame.groupby(column)["run_id"].nunique().sort_values(ascending=False, kind="stable")
    value = (
        "adaln-zero"
        if "adaln-zero" in counts.index and counts["adaln-zero"] == counts.max()
        else counts.index[0]
    )
    others = int(counts.sum() - counts[value])
    return frame[(frame[column] == value) | frame[column].isna()], [
        f"{others} with another {column} not drawn"
    ]


def _words(design: list[str], chosen: dict[str, object], rows: pd.DataFrame) -> str:
    words = list(design)
    if chosen.get("sampler") is not None and "steps" in chosen:
        words.append(f"{chosen['sampler']} {chosen['steps']:g} steps")
    elif chosen.get("sampler") is not None:
        words.append(f"{chosen['sampler']} sampler")
    if chosen.get("guidance") not in (None, 1.0) and not pd.isna(chosen.get("guidance")):
        words.append(f"guidance {chosen['guidance']:g}")
    if chosen.get("samples") is not None and not pd.isna(chosen["samples"]):
        words.append(f"{chosen['samples']:,.0f} samples")
    words += [f"{c.replace('_', ' ')} {chosen[c]}" for c in _RARE if c in chosen]
    if "images_seen" in rows and rows["images_seen"].nunique() == 1:
        words.append(f"{rows['images_seen'].iloc[0]:,.0f} images seen")
    return ", ".join(words)


def average_seeds(frame: pd.DataFrame, metric: str, by: tuple[str, ...] = MODEL) -> pd.DataFrame:
    """Return one row per configuration: mean over seeds, `low` and `high`, and `seeds`.

    With two or more seeds low and high are the smallest and largest seed; with one they are its own
    interval where the record has one, else missing.
    """
    rows = []
    for _, group in frame.groupby(config_key(frame, by), sort=False):
        row = group.iloc[0].to_dict()
        values = group[metric].astype(float)
        single = len(group) == 1
        row[metric] = values.mean()
        row["low"] = (
            group[f"{metric}_low"].iloc[0] if single and f"{metric}_low" in group else values.min()
        )
        row["high"] = (
            group[f"{metric}_high"].iloc[0]
            if single and f"{metric}_high" in group
            else values.max()
        )
        row["seeds"] = len(group)
        rows.append(row)
    return pd.DataFrame(rows)
