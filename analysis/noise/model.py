"""The noise model that claims, comparisons, figures and fits share.

A measured value is `truth + training + samples`: one part changes with the training seed, one with
the choice of samples. On the log scale (positive metrics) both are in proportion to the value, so
one model serves values that differ eightfold.

The spread of trainings is estimated from every repeated configuration of a study and shrunk twice:
the pooled variance towards a prior (`Prior`: the whole results folder, else a stated one), the
variance of one configuration towards the pooled one, as in Smyth (2004, Stat. Appl. Genet. Mol.
Biol. 3:3, moderated t statistics). Degrees of freedom count trainings; several readings of one
training (other sampling seeds) are averaged first and count once.

The record's own interval knows only the choice of samples. It is added for a configuration that was
trained once, and for a comparison with a fixed number, where nothing of it cancels.
`benchmarks/verdicts.py` simulates what the rules promise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

Scale = Literal["log", "linear"]
PRIOR_DF = 3.0
"""What a stated prior is worth in trainings: Student's t with 3 degrees of freedom keeps wrong
verdicts under 6 % where the prior's standard deviation is half the true one."""
MOST_PRIOR_DF = 6.0
"""What a prior measured on other studies is worth at most: their noise is like it, not it."""
OWN_DF = 4.0
"""How strongly a configuration's own variance is drawn to the pooled one, in trainings."""
_Z95 = 1.959964  # half the width of a 95 % interval in standard deviations


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of the spread between trainings before this study is looked at.

    `sd` is that of one training, on the model's scale (log: a share of the value).
    """

    sd: float
    df: float = PRIOR_DF
    source: str = "stated"


@dataclass(frozen=True, slots=True)
class Training:
    """One training of a configuration: its value on the model's scale.

    `sample_sd` is the standard deviation that the choice of samples gives it, None where unknown.
    """

    value: float
    sample_sd: float | None = None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a configuration's trainings, with its variance and degrees of freedom.

    `shared` is the variance that comparisons with another model sampled from the same noise do not
    have and comparisons with a fixed number do.
    """

    value: float
    variance: float
    df: float
    trainings: int
    shared: float = 0.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference on the model's scale, its standard error and degrees of freedom."""

    gap: float
    error: float
    df: float

    def half(self, level: float = 0.95, comparisons: int = 1) -> float:
        """Return half the width of the interval, simultaneous over `comparisons` (Bonferroni)."""
        if self.error == 0:
            return 0.0  # counted, not measured
        tail = (1 - level) / 2 / max(comparisons, 1)
        return self.error * float(special.stdtrit(self.df, 1 - tail))


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """The noise of one metric under one protocol in one study.

    `pooled_sd`: of one training, after shrinking towards the prior; `repeats`: trainings beyond the
    first of each configuration, 0 where the prior alone speaks.
    """

    scale: Scale
    pooled_sd: float
    repeats: int
    prior: Prior

    @property
    def df(self) -> float:
        """Return the degrees of freedom of the pooled standard deviation."""
        return self.prior.df + self.repeats

    @property
    def source(self) -> str:
        """Return where the estimate comes from, for a reader: "7 repeats and …", "prior: …"."""
        if not self.repeats:
            return f"prior: {self.prior.source}"
        noun = "repeat" if self.repeats == 1 else "repeats"
        return f"{self.repeats} {noun} of this study, prior: {self.prior.source}"

    def mean(self, trainings: Sequence[Training]) -> Mean:
        """Return the mean of a configuration's trainings with its own, moderated variance."""
        values = np.array([t.value for t in trainings], float)
        own = len(values) - 1
        squares = float(((values - values.mean()) ** 2).sum())
        variance = (OWN_DF * self.pooled_sd**2 + squares) / (OWN_DF + own)
        known = [t.sample_sd for t in trainings if t.sample_sd is not None]
        of_samples = float(np.mean(np.square(known))) if known else 0.0
        if not own:
            variance += of_samples
        df = min(OWN_DF + own, self.df)
        shared = of_samples if own else 0.0
        return Mean(float(values.mean()), variance / len(values), df, len(values), shared)

    def number(self, value: float) -> float:
        """Return a value of the metric on the model's scale; -inf for 0 and below on the log's."""
        if self.scale == "linear":
            return value
        return math.log(value) if value > 0 else -math.inf

    def value(self, number: float) -> float:
        """Return a number of the model's scale in the metric's unit."""
        return math.exp(number) if self.scale == "log" else number

    def interval(self, mean: Mean, level: float = 0.95) -> tuple[float, float]:
        """Return the ends of a mean's interval in the metric's unit."""
        half = self.against(mean, 0.0).half(level)
        return self.value(mean.value - half), self.value(mean.value + half)

    def difference(self, first: Mean, second: Mean) -> Contrast:
        """Return `second - first` (Welch's degrees of freedom, at most those of the model)."""
        variance = first.variance + second.variance
        parts = first.variance**2 / first.df + second.variance**2 / second.df
        df = min(variance**2 / parts, self.df) if parts > 0 else self.df
        return Contrast(second.value - first.value, math.sqrt(variance), df)

    def against(self, mean: Mean, number: float) -> Contrast:
        """Return `mean - number` for a fixed number on the model's scale."""
        return Contrast(mean.value - number, math.sqrt(mean.variance + mean.shared), mean.df)


def scale_of(values: Sequence[float]) -> Scale:
    """Return "log" where every value is positive, else "linear"."""
    return "log" if len(values) and all(v > 0 for v in values) else "linear"


def fit(
    configurations: Mapping[str, Sequence[Training]], prior: Prior, scale: Scale = "log"
) -> NoiseModel:
    """Return the noise model of a study from the trainings of each configuration."""
    squares = 0.0
    repeats = 0
    for trainings in configurations.values():
        values = np.array([t.value for t in trainings], float)
        squares += float(((values - values.mean()) ** 2).sum())
        repeats += len(values) - 1
    variance = (prior.df * prior.sd**2 + squares) / (prior.df + repeats)
    return NoiseModel(scale, math.sqrt(variance), repeats, prior)


def prior_from(configurations: Mapping[str, Sequence[Training]], stated: Prior) -> Prior:
    """Return a stated prior corrected by the repeats of other studies of a results folder."""
    found = fit(configurations, stated)
    if not found.repeats:
        return stated
    df = min(stated.df + found.repeats, MOST_PRIOR_DF)
    noun = "repeat" if found.repeats == 1 else "repeats"
    return Prior(found.pooled_sd, df, f"{found.repeats} {noun} of the results folder")


def sample_sd_of(low: float, high: float, scale: Scale) -> float | None:
    """Return the standard deviation that a record's 95 % interval states, on the model's scale."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return None
    if scale == "linear":
        return (high - low) / (2 * _Z95)
    return math.log(high / low) / (2 * _Z95) if low > 0 else None
