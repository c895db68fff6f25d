"""The noise of a result: how far two trainings that differ only in their seed lie apart.

One definition for claims, comparisons and reports. Rows that differ in nothing but the seed of
their training are repeats. Several readings of one training (samplings with other seeds, or one
number printed twice) are averaged first: they tell nothing about the noise between trainings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.select.configuration import MODEL, config_key

UNKNOWN = "nothing"  # source of a noise estimate where there is none
_INTERVAL_SDS = 2 * 1.959964  # width of a recorded 95 % interval in standard deviations


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one value over seeds, in the metric's unit, and where it comes from."""

    sd: float | None
    """None where it is unknown."""
    df: int
    """Degrees of freedom; 0 where it does not come from seeds."""
    source: str
    """What it was estimated from, as a reader is told."""

    def half(self, *counts: int, level: float = 0.95) -> float | None:
        """Return the half width of the interval of a difference of means, None where unknown.

        `counts` are the numbers of values behind each mean. Student's t with `df` degrees of
        freedom where seeds tell the noise, the normal distribution otherwise.
        """
        if self.sd is None:
            return None
        tail = (1 + level) / 2
        reach = stats.t.ppf(tail, self.df) if self.df > 0 else stats.norm.ppf(tail)
        return float(reach) * self.sd * float(np.sqrt(sum(1 / c for c in counts)))


def noise_between_seeds(values: pd.Series, alike: pd.Series, seeds: pd.Series) -> Noise:
    """Return the standard deviation over seeds, pooled over all groups of rows with equal `alike`.

    Each group counts with its number of different seeds minus one. Rows without a seed or a value
    are left out.
    """
    # As arrays: rows put together from two selections may have equal index labels.
    columns = {"value": values.astype(float), "alike": alike, "seed": seeds}
    rows = pd.DataFrame({name: column.to_numpy() for name, column in columns.items()}).dropna()
    means = rows.groupby(["alike", "seed"], sort=False)["value"].mean()
    groups = means.groupby(level="alike")
    df = int((groups.count() - 1).sum()) if len(means) else 0
    if df == 0:
        return Noise(None, 0, UNKNOWN)
    squares = float(((means - groups.transform("mean")) ** 2).sum())
    return Noise(float(np.sqrt(squares / df)), df, f"seeds ({df} degrees of freedom)")


def noise_of(rows: pd.DataFrame, metric: str, by: tuple[str, ...] = ()) -> Noise:
    """Return the noise of one value: over seeds, else that of the records' own intervals.

    Rows are alike where they have one configuration and equal values in the columns `by`.
    """
    if rows.empty:
        return Noise(None, 0, UNKNOWN)
    if "seed" in rows:
        further = [column for column in by if column in rows and column not in MODEL]
        alike = config_key(rows, (*MODEL, *further))
        found = noise_between_seeds(rows[metric], alike, rows["seed"])
        if found.sd is not None:
            return found
    low = f"{metric}_low"
    high = f"{metric}_high"
    if low in rows and high in rows:
        widths = (rows[high] - rows[low]).astype(float).dropna()
        if len(widths):
            sd = float(widths.median()) / _INTERVAL_SDS
            return Noise(sd, 0, "the records' own intervals, not seeds")
    return Noise(None, 0, UNKNOWN)


def relative_noise_of(rows: pd.DataFrame, metric: str, by: tuple[str, ...] = ()) -> Noise | None:
    """Return the noise of one value as a share of it (that of its logarithm).

    None where not every value is positive.
    """
    if not (rows[metric].astype(float) > 0).all():
        return None
    columns = [c for c in (metric, f"{metric}_low", f"{metric}_high") if c in rows]
    values = {c: rows[c].astype(float) for c in columns}
    logs = {c: np.log(v.where(v > 0)) for c, v in values.items()}
    found = noise_of(rows.assign(**logs), metric, by)
    if found.sd is None:
        return found
    return replace(found, source=f"{found.source}, as a share of the value")
