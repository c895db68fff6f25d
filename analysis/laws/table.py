"""The fits as rows: one per fitted number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from analysis.laws.all_laws import Laws, interval_of
from analysis.laws.data.estimate import Estimate, HeldOut


@dataclass(frozen=True, slots=True)
class Row:
    """One fitted number, None where `status` says why; `n`: configurations, isoFLOP: sizes."""

    fit: str
    quantity: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    status: str


def table(laws: Laws) -> pd.DataFrame:
    """Return one row per fitted number: fit, quantity, value, low, high, n, status."""
    return pd.DataFrame([asdict(row) for row in rows(laws)])


def rows(laws: Laws) -> Iterator[Row]:
    """Yield the fitted numbers, law by law."""
    for name, one in (
        ("Pearson, log Gflops", laws.pearson),
        ("Pearson, log params", laws.pearson_params),
        ("Spearman, Gflops", laws.spearman),
    ):
        yield _row(name, "r", interval_of(one), one.n, one.status)
    line = laws.line
    slope = Estimate(line.slope, line.slope_low, line.slope_high)
    yield _row("line over log G", "slope per tenfold", slope, line.n, line.status)
    if line.slope is not None:
        middle = (laws.gmacs[0] * laws.gmacs[1]) ** 0.5
        at = Estimate(float(line.at(np.log10(middle))))
        yield _row("line over log G", f"value at {middle:.3g} Gflops", at, line.n, line.status)
    yield from _terms(laws)
    for name, held in (
        ("power law", laws.power.held_out),
        ("pooled log line", laws.patch.pooled_held_out),
        ("patch-aware law", laws.patch.held_out),
        ("size x tokens law", laws.size_tokens.held_out),
        ("surface", laws.surface.held_out),
    ):
        if held is not None and held.predicted is not None:
            yield _held(name, held)


def _terms(laws: Laws) -> Iterator[Row]:
    power = laws.power
    status = "; ".join((power.status, *power.flags))
    yield _row("power law", "offset", power.offset, power.n, status)
    if power.exponent.value is not None:
        yield _row("power law", "exponent", power.exponent, power.n, status)
    for fit, law in (("patch-aware law", laws.patch), ("size x tokens law", laws.size_tokens)):
        if not law.coefficients:
            yield _row(fit, "", Estimate(), law.n, law.status)
        for name, one in zip(law.names, law.coefficients, strict=True):
            yield _row(fit, name, one, law.n, law.status)
    iso = laws.isoflop
    status = "; ".join((iso.status, *iso.flags))
    yield _row("isoFLOP minima", "exponent", iso.exponent, iso.n, status)
    found = laws.surface
    status = "; ".join((found.status, *found.flags))
    yield _row("surface", "offset", found.offset, found.n, status)
    if found.alpha.value is not None:
        yield _row("surface", "alpha", found.alpha, found.n, status)
        yield _row("surface", "beta", found.beta, found.n, status)
        yield _row("surface", "exponent", found.allocation, found.n, status)


def _row(fit: str, quantity: str, one: Estimate, n: int, status: str) -> Row:
    return Row(fit, quantity, one.value, one.low, one.high, n, status)


def _held(name: str, held: HeldOut) -> Row:
    found = "" if held.inside is None else "inside" if held.inside else "outside"
    quantity = f"measured {held.actual:.4g}"
    return Row(f"held out, {name}", quantity, held.predicted, held.low, held.high, 1, found)
