"""The metrics: one row each, with every fact that tables, figures and evaluators need of it.

A new metric is a row here and a function in `dit_core/evaluate/metrics/measure.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dit_core.study.catalogue.lookup import row_of

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    """Name of its column; `<name>_low` and `<name>_high` hold its 95 % interval."""
    label: str
    """Name on an axis."""
    better: Better | None
    """Which direction is better; None where neither is, as for a slope."""
    family: str = ""
    """Name of the metrics that are computed together; empty for one that is computed alone."""
    needs: Literal["features", "kept features", "rows", "curve"] = "features"
    """What it is computed from.

    "features" of the samples and the reference's mean and covariance; "kept features" of single
    images of the reference; "rows", the real samples whose conditions were requested; "curve", the
    training curve and no evaluation.
    """
    layer: str = ""
    """Layer of the extractor that it needs besides the protocol's own; empty for none."""
    unit: str = "1"
    """Unit; "1" is none."""
    positive: bool = False
    """A value of 0 or below is no measurement: it is left out of the tables and reported."""
    panel: bool = False
    """Has a panel in the figure of other metrics; the panels follow the order of the rows."""
    report_column: int = 0
    """Place among the further columns of the report's table; 0 is none."""
    seed_sd: float = 0.05
    """Standard deviation between trainings that differ in nothing but their seed, as a share of the
    value: what is believed of a study that repeats nothing (`analysis/noise/model.py`).

    fd_digits, agreement, precision, recall: measured on twelve trainings each of the models XXXS/2
    and XXXXS/4 of `studies/digits.yaml`. FID: published repeats, DiT-XL/2 18.1 to 19.5 between code
    bases and DiT-B/4 68.3 and 68.9. Any other: stated.
    """
    seed_sd_source: str = "stated"
    """Where `seed_sd` comes from, in the words that stand beside a verdict."""


_MEASURED_SEEDS = "24 trainings of two digits models"
_ROWS = (
    Metric(
        "fid",
        "FID",
        "lower",
        positive=True,
        seed_sd=0.03,
        seed_sd_source="published repeats",
    ),
    Metric("sfid", "sFID", "lower", layer="spatial", positive=True, panel=True, report_column=4),
    Metric("is", "Inception score", "higher", layer="logits_unbiased", panel=True, report_column=3),
    Metric("kid", "KID", "lower", needs="kept features", panel=True),
    Metric(
        "precision",
        "Precision",
        "higher",
        "coverage",
        "kept features",
        panel=True,
        report_column=1,
        seed_sd=0.035,
        seed_sd_source=_MEASURED_SEEDS,
    ),
    Metric(
        "recall",
        "Recall",
        "higher",
        "coverage",
        "kept features",
        panel=True,
        report_column=2,
        seed_sd=0.035,
        seed_sd_source=_MEASURED_SEEDS,
    ),
    # Errors against the real sample of the same row: of one sample, of the mean of a row's samples,
    # of a simple guess; then the first two as shares of the third.
    Metric("completion_rmse", "Completion error", "lower", "completion", "rows"),
    Metric("completion_mean_rmse", "Mean completion's error", "lower", "completion", "rows"),
    Metric("class_mean_rmse", "Class mean's error", "lower", "completion", "rows"),
    Metric("completion_ratio", "Completion error / class mean's", "lower", "completion", "rows"),
    Metric(
        "completion_mean_ratio",
        "Mean completion's / class mean's",
        "lower",
        "completion",
        "rows",
        panel=True,
    ),
    Metric("detail_rmse", "Refinement error", "lower", "detail", "rows"),
    Metric("detail_mean_rmse", "Mean refinement's error", "lower", "detail", "rows"),
    Metric("adjusted_mean_rmse", "Moved mean's error", "lower", "detail", "rows"),
    Metric("detail_ratio", "Refinement error / moved mean's", "lower", "detail", "rows"),
    Metric(
        "detail_mean_ratio",
        "Mean refinement's / moved mean's",
        "lower",
        "detail",
        "rows",
        panel=True,
    ),
    Metric(
        "power_error", "Error of the power spectrum, dex", "lower", "spectra", "rows", unit="dex"
    ),
    Metric("cross_correlation", "Correlation with the real map", "higher", "spectra", "rows"),
    # The same errors of maps, with the mean training map of the label as the guess.
    Metric("field_rmse", "Map's error", "lower", "fields", "rows"),
    Metric("field_mean_rmse", "Mean map's error", "lower", "fields", "rows"),
    Metric("mean_map_rmse", "Training mean's error", "lower", "fields", "rows"),
    Metric("field_ratio", "Map's error / training mean's", "lower", "fields", "rows"),
    Metric("field_mean_ratio", "Mean map's / training mean's", "lower", "fields", "rows"),
    Metric("ink_r2", "Ink obeyed, R²", "higher", "obedience", "rows"),
    Metric("ink_slope", "Ink obeyed, slope", None, "obedience", "rows"),
    Metric("slant_r2", "Slant obeyed, R²", "higher", "obedience", "rows", panel=True),
    Metric("slant_slope", "Slant obeyed, slope", None, "obedience", "rows"),
    Metric("width_r2", "Width obeyed, R²", "higher", "obedience", "rows", panel=True),
    Metric("width_slope", "Width obeyed, slope", None, "obedience", "rows"),
    Metric("two_sample_accuracy", "Told apart by a forest", "lower", "two samples", "rows"),
    Metric(
        "quadratic_accuracy", "Told apart, quadratic", "lower", "two samples", "rows", panel=True
    ),
    Metric("mmd2", "MMD², unbiased", "lower", "two samples", "rows", panel=True),
    Metric("memorised", "Share of copies", "lower", "two samples", "rows", panel=True),
    Metric(
        "fd_digits",
        "fd_digits",
        "lower",
        positive=True,
        panel=True,
        seed_sd=0.09,
        seed_sd_source=_MEASURED_SEEDS,
    ),
    Metric(
        "agreement",
        "Class agreement",
        "higher",
        layer="logits",
        panel=True,
        seed_sd=0.035,
        seed_sd_source=_MEASURED_SEEDS,
    ),
    Metric(
        "fid_infinity",
        "FID, infinite samples",
        "lower",
        positive=True,
        panel=True,
        seed_sd=0.03,
        seed_sd_source="published repeats",
    ),
    Metric(
        "fd_digits_infinity",
        "fd_digits, infinite samples",
        "lower",
        positive=True,
        panel=True,
        seed_sd=0.09,
        seed_sd_source=_MEASURED_SEEDS,
    ),
    Metric("loss", "Training loss", "lower", needs="curve"),
)
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}


def metric_of(name: str) -> Metric:
    """Return the metric of that name; raise UserError with the nearest one."""
    return row_of(METRICS, name, "metric")


def family(name: str) -> tuple[str, ...]:
    """Return the names of the metrics of a family, in the order in which they are computed."""
    names = tuple(row.name for row in _ROWS if row.family == name)
    assert names, f"no metric is of family {name!r}"
    return names
