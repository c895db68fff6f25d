"""How each kind of claim is judged: rows in, a finding with a verdict out."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims.finding import (
    Finding,
    Part,
    about_rows,
    against,
    bounds_of,
    span_of,
    verdict_of,
)
from analysis.claims.rows import NotYetError, rows_of
from analysis.laws.correlation import SEED, Correlation, correlate, difference
from analysis.select.configuration import MODEL, config_key, config_names
from analysis.select.noise import Noise, noise_of, relative_noise_of
from analysis.select.source import Source
from dit_core.errors import UserError
from dit_core.study.science.claim import (
    CorrelationClaim,
    CrossingClaim,
    OrderClaim,
    RatioClaim,
    ThresholdClaim,
    TrendClaim,
)

_SEED_OF_NAME = re.compile(r",?\b(train\.)?seed=[^,]*")


def correlation(claim: CorrelationClaim, source: Source) -> Finding:
    """Judge a correlation by its bootstrap interval over configurations and seeds."""
    about = rows_of(claim, source)
    rows = about.frame
    x = _scaled(rows[claim.x], claim.x_scale)
    y = rows[claim.metric].to_numpy(float)
    groups = config_key(rows).to_numpy(str)
    rng = np.random.default_rng(SEED)
    found = correlate(x, y, rng, method=claim.method, groups=groups, level=claim.level)
    what = f"{'r' if claim.method == 'pearson' else 'Spearman'} of {claim.x_scale} {claim.x} and {claim.metric}"
    noise = noise_of(rows, claim.metric)
    rest = {
        "quantity": what,
        "n": found.n,
        "noise": noise.sd,
        "told_by": "bootstrap",
        **about_rows(about),
    }
    bound = bounds_of(claim)
    if claim.stronger_than:
        bound = " and ".join(filter(None, [bound, f"stronger than with {claim.stronger_than}"]))
    if found.low is None or found.high is None:
        return Finding("UNDECIDED", found.r, bound=bound, reason=found.status, **rest)
    parts: list[Part] = []
    if claim.at_most is not None or claim.at_least is not None:
        parts.append(against(claim, found.low - claim.tolerance, found.high + claim.tolerance))
    detail: tuple[str, ...] = ()
    if claim.stronger_than:
        gap = _gap(claim, rows, x, y, groups)
        parts.append(
            "open"
            if gap.low is None or gap.high is None
            else "holds"
            if gap.low > 0
            else "fails"
            if gap.high < 0
            else "open"
        )
        detail = (f"|r| minus |r with {claim.stronger_than}|: {span_of(gap.r, gap.low, gap.high)}",)
    verdict = verdict_of(parts)
    reason = (
        f"not told apart: {detail[0]}"
        if verdict == "UNDECIDED" and detail and parts[-1] == "open"
        else ""
    )
    return Finding(
        verdict, found.r, found.low, found.high, bound=bound, reason=reason, detail=detail, **rest
    )


def _gap(claim: CorrelationClaim, rows: pd.DataFrame, x: Any, y: Any, groups: Any) -> Correlation:
    other = _scaled(rows[claim.stronger_than], claim.x_scale)
    means = pd.DataFrame({"x": x, "o": other, "y": y, "g": groups}).groupby("g", sort=True).mean()
    return difference(
        means["x"],
        means["o"],
        means["y"],
        np.random.default_rng(SEED),
        method=claim.method,
        level=claim.level,
    )


def _scaled(column: pd.Series, scale: str) -> Any:
    values = column.to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values) if scale == "log" else values


def order(claim: OrderClaim, source: Source) -> Finding:
    """Judge an order: every pair of neighbouring ranks in every group, by the difference of means
    over seeds.
    """
    members = [v for rank in claim.ranks for v in rank]
    about = rows_of(claim, source, keep=(claim.by,), where={claim.by: tuple(members)})
    rows = about.frame
    noise = noise_of(rows, claim.metric, (claim.by, *claim.within))
    parts = []
    detail = []
    gaps = []
    absent = 0
    for name, group in _groups(rows, claim.within):
        values = {v: group.loc[group[claim.by] == v, claim.metric].to_numpy(float) for v in members}
        _alike(group, claim.by, claim, name)
        for upper, lower in itertools.pairwise(claim.ranks):
            for small, large in itertools.product(upper, lower):
                if not len(values[small]) or not len(values[large]):
                    absent += 1
                    continue
                gap = float(values[large].mean() - values[small].mean())
                half = _half(noise, claim, len(values[small]), len(values[large]))
                part: Part = "holds" if gap > half else "fails" if gap < -half else "open"
                parts.append(part)
                gaps.append((gap, half))
                detail.append(f"{name}{small} < {large}: difference {gap:+.3g} ± {half:.2g} {part}")
    if not parts:
        raise NotYetError(
            f"no two of {', '.join(map(str, members))} are measured alike; `ditlab run "
            f"{source.name}`"
        )
    if absent:
        parts.append("open")
    gap, half = min(gaps, key=lambda g: g[0] - g[1])
    reason = f"{absent} of {absent + len(gaps)} comparisons lack results" if absent else ""
    text = " < ".join(" | ".join(map(str, r)) for r in claim.ranks)
    return Finding(
        verdict_of(parts),
        gap,
        gap - half,
        gap + half,
        f"smallest difference of {claim.metric}",
        text,
        len(gaps),
        noise.sd,
        noise.source,
        reason,
        tuple(detail),
        **about_rows(about),
    )


def _half(noise: Noise, claim: Any, *counts: int) -> float:
    return max(noise.half(*counts, level=claim.level) or 0.0, claim.tolerance)


def _groups(rows: pd.DataFrame, within: tuple[str, ...]) -> list[tuple[str, pd.DataFrame]]:
    if not within:
        return [("", rows)]
    missing = [w for w in within if w not in rows.columns]
    if missing:
        raise UserError(f"`within: [{missing[0]}]`: the rows have no such column")
    return [
        (f"{' '.join(map(str, key))}: ", g) for key, g in rows.groupby(list(within), sort=False)
    ]


def _alike(group: pd.DataFrame, by: str, claim: Any, name: str) -> None:
    """Refuse to compare configurations that differ in more than `by`."""
    for column in MODEL:
        if column == by or column not in group or by in ("model", "name", "run_id"):
            continue
        for _, same in group.groupby(by):
            if same[column].nunique() > 1:
                found = ", ".join(map(str, sorted(same[column].dropna().unique(), key=str)[:6]))
                raise UserError(
                    f"claim {claim.id!r}: {name}rows with equal {by} differ in {column} ({found}); "
                    "put it "
                    f"into `where:` or `within:`"
                )


def ratio(claim: RatioClaim, source: Source) -> Finding:
    """Judge a ratio of two configurations; positive values have noise in proportion, so the
    interval has one too.
    """
    sides = []
    abouts = []
    for side in (claim.numerator, claim.denominator):
        abouts.append(rows_of(claim, source, where=side))
        rows = abouts[-1].frame
        if (
            config_key(rows.assign(name=rows["name"].map(_seedless)), (*MODEL, "name")).nunique()
            > 1
        ):
            raise UserError(
                f"claim {claim.id!r}: {side} selects {rows['run_id'].nunique()} runs of different "
                "models; "
                "name one"
            )
        sides.append(rows)
    above, below = (s[claim.metric].to_numpy(float) for s in sides)
    what = {
        "quantity": f"ratio of {claim.metric}",
        "bound": bounds_of(claim),
        "n": len(above) + len(below),
        **about_rows(*abouts),
    }
    if not below.mean():
        return Finding("UNDECIDED", reason="the mean below the line is 0", **what)
    value = float(above.mean() / below.mean())
    both = pd.concat(sides)
    by = (*claim.numerator, *claim.denominator)
    noise = relative_noise_of(both, claim.metric, by)
    if noise is not None:
        reach = float(np.exp(noise.half(len(above), len(below), level=claim.level) or 0.0))
        low = value / reach
        high = value * reach
    else:  # first order
        noise = noise_of(both, claim.metric, by)
        up, down = (noise.half(len(v), level=claim.level) or 0.0 for v in (above, below))
        half = abs(value) * float(np.hypot(up / above.mean(), down / below.mean()))
        low = value - half
        high = value + half
    low = min(low, value - claim.tolerance)
    high = max(high, value + claim.tolerance)
    names = config_names(pd.concat(sides, ignore_index=True))
    named = (names.iloc[0], names.iloc[-1])
    detail = tuple(
        f"{_named(n, s)}: {s[claim.metric].mean():.4g} (n = {len(s)})"
        for n, s in zip(named, sides, strict=True)
    )
    return Finding(
        verdict_of([against(claim, low, high)]),
        value,
        low,
        high,
        noise=noise.sd,
        told_by=noise.source,
        detail=detail,
        **what,
    )


def _seedless(name: str) -> str:
    """Return a run's name without its seed: two seeds are two readings of one configuration."""
    return _SEED_OF_NAME.sub("", str(name))


def _named(name: str, rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    steps = f", {row['steps']:g} steps" if pd.notna(row.get("steps")) else ""
    return name + steps


def threshold(claim: ThresholdClaim, source: Source) -> Finding:
    """Judge a bound on, or a value of, every selected configuration; the worst one is the
    estimate.
    """
    about = rows_of(claim, source, keep=tuple(claim.where))
    rows = about.frame
    noise = noise_of(rows, claim.metric, tuple(claim.where))
    keys = config_key(rows, (*MODEL, *(k for k in claim.where if k in rows and k not in MODEL)))
    parts: list[Part] = []
    found = []
    for _, group in rows.groupby(keys.to_numpy(), sort=False):
        value = float(group[claim.metric].mean())
        known = noise.half(len(group), level=claim.level) or 0.0
        if claim.equals is not None:
            off = abs(value - claim.equals)
            parts.append(
                "holds"
                if off <= claim.tolerance
                else "fails"
                if off - known > claim.tolerance
                else "open"
            )
            found.append((off, value, known))
        else:
            half = max(known, claim.tolerance)
            parts.append(against(claim, value - half, value + half))
            found.append((value if claim.at_most is not None else -value, value, half))
    _, value, half = max(found)
    bound = (
        f"= {claim.equals:g} ± {claim.tolerance:g}"
        if claim.equals is not None
        else bounds_of(claim)
    )
    what = f"{claim.metric} (the farthest of {len(found)})"
    return Finding(
        verdict_of(parts),
        value,
        value - half,
        value + half,
        what,
        bound,
        len(rows),
        noise.sd,
        noise.source,
        **about_rows(about),
    )


def trend(claim: TrendClaim, source: Source) -> Finding:
    """Judge a trend: from first to last beyond the noise, and no step back beyond the noise, in
    every group.
    """
    about = rows_of(claim, source, keep=(claim.x,))
    rows = about.frame
    noise = noise_of(rows, claim.metric, (claim.x, *claim.within))
    sign = -1.0 if claim.direction == "falling" else 1.0
    parts: list[Part] = []
    detail = []
    totals = []
    for name, group in _groups(rows, claim.within):
        _alike(group, claim.x, claim, name)
        means = group.groupby(claim.x)[claim.metric].agg(["mean", "size"])
        if len(means) < 2:
            parts.append("open")
            detail.append(f"{name}one value of {claim.x} only")
            continue
        steps = [sign * (b - a) for a, b in itertools.pairwise(means["mean"])]
        halves = [_half(noise, claim, int(a), int(b)) for a, b in itertools.pairwise(means["size"])]
        total = sum(steps)
        half = _half(noise, claim, int(means["size"].iloc[0]), int(means["size"].iloc[-1]))
        back = any(s < -h for s, h in zip(steps, halves, strict=True))
        part: Part = "fails" if total < -half or back else "holds" if total > half else "open"
        parts.append(part)
        totals.append((total, half))
        detail.append(
            f"{name}{sign * total:+.3g} ± {half:.2g} over {len(means)} values of {claim.x} {part}"
        )
    if not totals:
        raise NotYetError(f"one value of {claim.x} only is measured; `ditlab run {source.name}`")
    total, half = min(totals, key=lambda t: t[0] - t[1])
    ends = sorted((sign * (total - half), sign * (total + half)))
    what = f"smallest change of {claim.metric}"
    bound = f"{claim.direction} with {claim.x}"
    return Finding(
        verdict_of(parts),
        sign * total,
        *ends,
        what,
        bound,
        len(rows),
        noise.sd,
        noise.source,
        "",
        tuple(detail),
        **about_rows(about),
    )


def crossing(claim: CrossingClaim, source: Source) -> Finding:
    """Judge where the second line falls below the first: the crossing of their interpolation, moved
    by the noise.
    """
    abouts = [
        rows_of(claim, source, keep=(claim.x,), where=side) for side in (claim.first, claim.second)
    ]
    lines = [about.frame for about in abouts]
    noise = noise_of(pd.concat(lines), claim.metric, (claim.x,))
    half = _half(noise, claim, 1, 1)
    means = [rows.groupby(claim.x)[claim.metric].mean() for rows in lines]
    low = max(m.index.min() for m in means)
    high = min(m.index.max() for m in means)
    words = {
        "quantity": f"{claim.x} at which the lines cross",
        "bound": bounds_of(claim) or "they cross",
        "n": sum(map(len, lines)),
        "noise": noise.sd,
        "told_by": noise.source,
        **about_rows(*abouts),
    }
    if not low < high:
        return Finding(
            "UNDECIDED",
            reason=f"the two lines share no range of {claim.x}; more training points under "
            f"`at:` in `evaluate:` and `ditlab run {source.name}` make one",
            **words,
        )
    grid = np.geomspace(low, high, 2000)
    first, second = (
        np.interp(np.log(grid), np.log(m.index.to_numpy(float)), m.to_numpy(float)) for m in means
    )
    gap = second - first
    at = [_falls(grid, gap + shift) for shift in (0.0, -half, half)]
    if at[0] is None:
        state = "below" if gap[-1] < 0 else "above"
        decided = (
            state == "above"
            and claim.at_most is not None
            and claim.at_most <= high
            and gap[-1] > half
        )
        return Finding(
            "REFUTED" if decided else "UNDECIDED",
            reason=f"they do not cross between {low:.3g} and "
            f"{high:.3g}: the second line is {state} the first there",
            **words,
        )
    ends = (at[1] or low, at[2] or high)
    open_end = "" if at[1] and at[2] else "the noise reaches the end of the measured range"
    part = against(claim, *ends) if bounds_of(claim) else ("holds" if not open_end else "open")
    return Finding(verdict_of([part]), at[0], *ends, reason=open_end, **words)


def _falls(grid: Any, gap: Any) -> float | None:
    """Return the last x at which `gap` turns from positive to negative and stays so, or None."""
    below = gap < 0
    if below.all() or not below[-1]:
        return None
    return float(grid[int(np.flatnonzero(~below)[-1]) + 1])
