"""All laws of a study at once: correlation, line, power law, patch-aware law, isoFLOP minima,
surface; and in words.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.laws.correlation import SEED, Correlation, correlate
from analysis.laws.fits import HeldOut, Law, Line, ols, power_law, surface
from analysis.laws.patch_law import IsoFlop, PatchLaw, at_budgets, isoflop, patch_law
from analysis.select.configuration import config_key
from analysis.select.points import Points, average_seeds, final_points
from analysis.select.source import Source

BUDGETS = 6


@dataclass(frozen=True)
class Laws:
    """The fits of one study; each holds its own status, n and interval."""

    metric: str
    footer: str
    pearson: Correlation
    pearson_params: Correlation
    spearman: Correlation
    line: Line
    power: Law
    patch: PatchLaw
    isoflop: IsoFlop
    surface: Law

    def plain(self) -> dict[str, Any]:
        """Return all fits as plain values for JSON."""
        return {k: v if isinstance(v, str) else asdict(v) for k, v in self.__dict__.items()}


def fit_all(source: Source, mix: bool = False) -> Laws:
    """Return every law the results of `source` allow; what they do not allow has a status that says
    why.

    Raises UserError where nothing is measured or two protocols would be mixed.
    """
    rows = source.results
    curves = source.results
    if source.is_published:
        curves = rows[
            rows["table"].isin(("figure6", "figure9")) & (rows["conditioning"] == "adaln-zero")
        ]
        rows = rows[rows["table"] == "paper_scaling12"]
    points = final_points(rows, source.metric, mix=mix)
    over = final_points(curves, source.metric, mix=mix, every=True)
    frame = points.frame
    metric = source.metric
    x = frame["fwd_gmacs"].astype(float)
    y = frame[metric].astype(float)
    groups = config_key(frame).to_numpy(str)
    means = average_seeds(frame, metric)

    def rng() -> np.random.Generator:
        return np.random.default_rng(SEED)

    return Laws(
        metric,
        points.footer,
        correlate(np.log10(x), y, rng(), groups=groups),
        correlate(np.log10(frame["params"].astype(float)), y, rng(), groups=groups),
        correlate(np.log10(x), y, rng(), groups=groups, method="spearman"),
        ols(np.log10(means["fwd_gmacs"].astype(float)), means[metric].astype(float)),
        power_law(x, y, rng(), groups=groups),
        patch_law(means["fwd_gmacs"], means["patch"], means[metric]),
        _isoflop(over),
        _surface(over),
    )


def _isoflop(points: Points) -> IsoFlop:
    """Return the minima over parameters at budgets between the curves' shared ends, for the
    smallest patch.
    """
    rows = points.frame
    rows = rows[rows["patch"] == rows["patch"].min()]
    curves = [g.groupby("train_flops")[points.metric].mean() for _, g in rows.groupby("params")]
    sizes = [float(p) for p, _ in rows.groupby("params")]
    many = [(c, n) for c, n in zip(curves, sizes, strict=True) if len(c) > 1]
    if len(many) < 3:
        return isoflop([], [], [])
    # Between the third-lowest start and the third-highest end at least three curves overlap.
    low = sorted(c.index.min() for c, _ in many)[2]
    high = sorted((c.index.max() for c, _ in many), reverse=True)[2]
    if not 0 < low < high:
        return isoflop([], [], [])
    budgets = np.geomspace(low, high, BUDGETS)
    return isoflop(
        *at_budgets(
            [c.index.to_numpy(float) for c, _ in many],
            [c.to_numpy(float) for c, _ in many],
            [n for _, n in many],
            budgets,
        )
    )


def _surface(points: Points) -> Law:
    """Return L(N, D) at the smallest patch; the points of one training are not independent and
    count as one.
    """
    rows = points.frame
    rows = rows[rows["patch"] == rows["patch"].min()]
    return surface(
        rows["params"],
        rows["images_seen"],
        rows[points.metric],
        np.random.default_rng(SEED),
        groups=rows["run_id"].to_numpy(str),
    )


def answer(laws: Laws) -> list[str]:
    """Return the answer in sentences, every number out of a fit object; a fit without numbers says
    its status.
    """
    said = [f"{laws.metric} and forward Gflops (log): {laws.pearson.words()}."]
    if laws.pearson_params.r is not None:
        said.append(f"With the number of parameters instead: {laws.pearson_params.words()}.")
    if laws.line.status == "ok" and laws.line.slope is not None and laws.line.intercept is not None:
        sign = "falls" if laws.line.slope < 0 else "rises"
        said.append(
            f"For every tenfold of forward compute {laws.metric} {sign} by "
            f"{abs(laws.line.slope):.2f} (interval of the "
            f"slope {laws.line.slope_low:.2f} to {laws.line.slope_high:.2f}); the line is "
            f"{laws.line.intercept:.2f} "
            f"{'-' if laws.line.slope < 0 else '+'} {abs(laws.line.slope):.2f} log10 G."
        )
    if laws.power.offset.value is not None:
        flags = f" ({'; '.join(laws.power.flags)})" if laws.power.flags else ""
        said.append(
            f"As a power law with offset: exponent {laws.power.exponents[0].words()}, offset "
            f"{laws.power.offset.words()}{flags}."
        )
    else:
        said.append(f"Power law with offset: {laws.power.status}.")
    said += _held_out("The power law", laws.power.held_out)
    if laws.patch.status == "ok":
        said += _held_out("The patch-aware law", laws.patch.held_out)
    else:
        said.append(f"Patch-aware law: {laws.patch.status}.")
    inside = [m for m in laws.isoflop.minima if m.status == "ok"]
    if laws.isoflop.exponent.value is not None:
        said.append(
            f"The best number of parameters grows with training compute to the power "
            f"{laws.isoflop.exponent.words()} ({len(inside)} of {len(laws.isoflop.minima)} budgets "
            "have their "
            "minimum inside the sizes tried)."
        )
    else:
        said.append(
            f"isoFLOP minima: {laws.isoflop.status} ({len(inside)} of {len(laws.isoflop.minima)} "
            "budgets have "
            "their minimum inside the sizes tried)."
        )
    said.append(
        f"Loss surface over parameters and images: {laws.surface.status}."
        if laws.surface.status != "ok"
        else f"Loss surface: exponents {laws.surface.exponents[0].words()} of parameters and "
        f"{laws.surface.exponents[1].words()} of images seen."
    )
    return [s.replace(" -", " \N{MINUS SIGN}") for s in said]


def _held_out(law: str, held: HeldOut | None) -> list[str]:
    if held is None or held.predicted is None or held.error is None:
        return []
    inside = "inside" if held.inside else "outside"
    span = "" if held.low is None else f" ({held.low:.3g} to {held.high:.3g}: {inside})"
    return [
        f"{law}, fitted without the largest model, predicts {held.predicted:.3g}{span} where "
        f"{held.actual:.4g} was "
        f"measured: an error of {held.error:+.0%}."
    ]


def table(laws: Laws) -> pd.DataFrame:
    """Return one row per fitted number: fit, quantity, value, low, high, n, status."""
    rows: list[dict[str, Any]] = []

    def add(fit: str, quantity: str, value: Any, low: Any, high: Any, n: int, status: str) -> None:
        rows.append(
            {
                "fit": fit,
                "quantity": quantity,
                "value": value,
                "low": low,
                "high": high,
                "n": n,
                "status": status,
            }
        )

    for name, c in (
        ("Pearson, log Gflops", laws.pearson),
        ("Pearson, log params", laws.pearson_params),
        ("Spearman, Gflops", laws.spearman),
    ):
        add(name, "r", c.r, c.low, c.high, c.n, c.status)
    add(
        "line",
        "slope per tenfold",
        laws.line.slope,
        laws.line.slope_low,
        laws.line.slope_high,
        laws.line.n,
        laws.line.status,
    )
    add("line", "value at 1 Gflop", laws.line.intercept, None, None, laws.line.n, laws.line.status)
    for fit, law, names in (
        ("power law", laws.power, ("exponent",)),
        ("surface", laws.surface, ("alpha", "beta")),
    ):
        status = "; ".join((law.status, *law.flags))
        add(fit, "offset", law.offset.value, law.offset.low, law.offset.high, law.n, status)
        for name, e in zip(names, law.exponents, strict=False):
            add(fit, name, e.value, e.low, e.high, law.n, status)
    for name, e in zip(laws.patch.names, laws.patch.coefficients, strict=True):
        add("patch-aware law", name, e.value, e.low, e.high, laws.patch.n, laws.patch.status)
    e = laws.isoflop.exponent
    add(
        "isoFLOP minima",
        "exponent",
        e.value,
        e.low,
        e.high,
        laws.isoflop.line.n,
        laws.isoflop.status,
    )
    for held, name in (
        (laws.power.held_out, "power law"),
        (laws.patch.pooled_held_out, "pooled log line"),
        (laws.patch.held_out, "patch-aware law"),
    ):
        if held is not None:
            add(
                f"held out: {name}",
                f"predicted (measured {held.actual:.4g})",
                held.predicted,
                held.low,
                held.high,
                1,
                "" if held.inside is None else "inside" if held.inside else "outside",
            )
    return pd.DataFrame(rows)
