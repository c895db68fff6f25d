"""The measured values of a claim as means with their noise, on one scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from analysis.claims.rows import CONFIGURATION, measured_table
from analysis.noise.decide import Comparison
from analysis.noise.model import Mean, NoiseModel, Prior
from analysis.select.repeats import noise_of, scale_in, trainings_of
from analysis.select.source import Source
from dit_core.study.science.claim import COUNTED, OF_RUNS, Statement

_EXACT = 1e-9  # a count equal to its bound keeps it


@dataclass(frozen=True, slots=True)
class Values:
    """What turns the rows of a claim into means and differences with their noise."""

    metric: str
    model: NoiseModel
    counted: bool = False
    """The metric is a count that is observed exactly."""

    def mean(self, rows: pd.DataFrame) -> Mean:
        """Return the mean of one configuration's rows; readings of one training count once."""
        mean = self.model.mean(trainings_of(rows, self.metric, self.model.scale))
        if self.counted:
            return Mean(mean.value, 0.0, math.inf, mean.trainings)
        return mean

    def held(self, mean: Mean, at_least: float | None, at_most: float | None) -> Comparison:
        """Return the comparison of a mean with bounds in the metric's unit."""
        slack = _EXACT if self.counted else 0.0
        above = None if at_least is None else self.model.number(at_least) - slack
        below = None if at_most is None else self.model.number(at_most) + slack
        return Comparison(self.model.against(mean, 0.0), above, below)

    def narrow(self, rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """Return the rows with the columns that a mean needs, and those named: groups form fast."""
        ends = (self.metric, f"{self.metric}_low", f"{self.metric}_high")
        wanted = dict.fromkeys(("run_id", "seed", *ends, *columns))
        return rows[[column for column in wanted if column in rows]]

    @property
    def source(self) -> str:
        """Return where the noise comes from, for a reader."""
        return "counted exactly, no noise" if self.counted else self.model.source

    @property
    def noise(self) -> float | None:
        """Return the standard deviation of one training on the model's scale."""
        return 0.0 if self.counted else self.model.pooled_sd

    @property
    def is_share(self) -> bool:
        """Whether the noise is a share of the value."""
        return self.model.scale == "log" and not self.counted


def values_of(claim: Statement, source: Source, rows: pd.DataFrame, *bounds: float) -> Values:
    """Return the values of a claim; `bounds` are the numbers that the metric is compared with.

    The noise is that of the whole study's repeats under the rows' protocol, with a prior from the
    rest of the results folder, else the catalogue's. The scale is logarithmic where every value and
    bound is positive.
    """
    if claim.metric in COUNTED:
        return Values(claim.metric, NoiseModel("linear", 0.0, 0, Prior(0.0)), counted=True)
    protocol = _protocol(rows)
    key = f"noise of {claim.metric} under {protocol}"
    is_of_runs = claim.metric in OF_RUNS
    study = rows
    if not is_of_runs:
        study = source.once(
            f"rows: {key}", lambda: _measured(measured_table(claim.metric, source), claim, protocol)
        )
    scale = scale_in(study, claim.metric)
    if any(bound <= 0 for bound in bounds):
        scale = "linear"

    def make() -> NoiseModel:
        elsewhere = None if is_of_runs else _measured(source.elsewhere(), claim, protocol)
        return noise_of(study, claim.metric, scale, study[CONFIGURATION], elsewhere)

    if is_of_runs:
        return Values(claim.metric, make())
    return Values(claim.metric, source.once(f"{scale} {key}", make))


def _protocol(rows: pd.DataFrame) -> str | None:
    if "protocol" not in rows:
        return None
    names = rows["protocol"].dropna()
    return None if names.empty else str(names.iloc[0])


def _measured(frame: pd.DataFrame, claim: Statement, protocol: str | None) -> pd.DataFrame:
    """Return the rows of a table that hold the claim's metric under the protocol."""
    if claim.metric not in frame:
        return frame.iloc[:0]
    kept = frame[claim.metric].notna()
    if protocol is not None and "protocol" in frame:
        kept &= frame["protocol"] == protocol
    return frame[kept]
