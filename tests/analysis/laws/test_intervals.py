"""What intervals promise: they hold 0 where there is nothing, count trainings and not readings, and
widen where residuals belong together.
"""

from __future__ import annotations

import fit_coverage
import numpy as np
import pytest

from analysis.laws.clusters import errors_of, kernels_of
from analysis.laws.correlation import correlate
from analysis.laws.data.estimate import Estimate
from analysis.laws.isoflop import Curve, isoflop_of
from analysis.laws.line import ols
from analysis.laws.power_law import power_law
from analysis.laws.size_tokens import predict, size_tokens
from analysis.laws.surface import surface
from analysis.published import numbers as published


def _curves(sizes: int, budgets_read: int = 12, noise: float = 0.01) -> list[Curve]:
    rng = np.random.default_rng(4)
    compute = np.geomspace(2.4e16, 2.5e18, budgets_read)
    curves = []
    for n in np.geomspace(3e7, 1.5e9, sizes):
        y = 0.05 + 40 * n**-0.4 + 40 * (compute / (6 * n)) ** -0.4
        curves.append(Curve(n, compute, y * np.exp(rng.normal(0, noise))))
    return curves


def test_spearman_has_no_interval_below_ten_points():
    x = np.arange(9.0)
    few = correlate(x, -x, np.random.default_rng(0), method="spearman")
    assert (few.r, few.low) == (-1.0, None)
    assert few.status == "too few models for an interval of ranks (9 < 10)"
    x = np.arange(10.0)
    found = correlate(x, -x, np.random.default_rng(0), method="spearman")
    assert found.low == -1.0 < found.high < -0.9


def test_isoflop_counts_trainings_and_not_readings():
    curves = _curves(6)
    widths = []
    for budgets in (6, 30, 100):
        found = isoflop_of(curves, budgets).exponent
        widths.append(found.high - found.low)
    assert max(widths) < 1.5 * min(widths)
    assert isoflop_of(curves).n == 6


def test_isoflop_says_what_each_size_left_out_would_change():
    rows = published.curves()
    rows = rows[(rows["conditioning"] == "adaln-zero") & (rows["patch"] == 2)]
    curves = []
    for n, g in rows[rows["figure"] != 5].groupby("params"):
        means = g.groupby("train_flops")["fid"].mean()
        curves.append(Curve(float(n), means.index.to_numpy(float), means.to_numpy(float)))
    for left in range(4):
        rest = isoflop_of([c for k, c in enumerate(curves) if k != left])
        assert rest.exponent.value is not None, left
        assert rest.exponent.low is None
    assert len(isoflop_of(curves).without) == 4


def test_seeds_are_no_sizes():
    n, d, seed = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 4), [1e8, 1e9], [0, 1, 2]))
    y = 0.1 + 30 * n**-0.35 + 60 * d**-0.3 + 0.001 * seed
    found = surface(n, d, y, np.random.default_rng(0), trainings=n)
    assert (found.n, found.status) == (4, "too few trainings (4 < 7)")


def test_the_held_out_training_is_compared_at_its_own_last_point():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 8), np.geomspace(1e7, 1e10, 5)))
    y = 0.1 + 30 * n**-0.35 + 60 * d**-0.3
    held = surface(n, d, y, np.random.default_rng(0), trainings=n).held_out
    assert held.actual == pytest.approx(y[(n == n.max()) & (d == d.max())][0])
    assert abs(held.error) < 0.02
    assert held.beyond == pytest.approx(1000 ** (1 / 7))


def test_studies_without_an_offset_rarely_print_one():
    rng = np.random.default_rng(0)
    x = np.geomspace(0.3, 120, 14)
    excluded = 0
    for _ in range(40):
        law = power_law(x, 140 * x**-0.45 * np.exp(rng.normal(0, 0.03, 14)), held_out=False)
        excluded += law.offset.low is not None and law.offset.low > 0
    assert excluded <= 2


def test_an_offset_without_bounds_has_no_interval():
    rng = np.random.default_rng(3)
    x = np.geomspace(1, 4, 6)
    law = power_law(x, (8 + 140 * x**-0.45) * np.exp(rng.normal(0, 0.1, 6)), held_out=False)
    offset = law.offset
    assert offset.low is None or (offset.low == 0.0 and offset.high < 1.3 * 140)


def test_shared_deviations_widen_a_slope_and_independent_ones_hardly():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(6), 3)
    x = groups.astype(float)
    ratios: dict[float, list[float]] = {0.0: [], 16.0: []}
    for shared in [*ratios] * 40:
        y = -54 * x + rng.normal(0, shared, 6)[groups] + rng.normal(0, 9, 18)
        one = ols(x, y)
        wide = ols(x, y, clusters=(groups,))
        assert wide.slope == one.slope
        ratios[shared].append((wide.slope_high - wide.slope) / (one.slope_high - one.slope))
    assert min(ratios[0.0]) >= 1
    assert np.median(ratios[0.0]) < 1.25 < np.mean(ratios[16.0])


def test_without_clusters_the_interval_is_students():
    from scipy import stats

    rng = np.random.default_rng(0)
    columns = np.stack([np.ones(9), np.arange(9.0)], 1)
    y = rng.normal(size=9)
    row = np.linalg.pinv(columns)[1]
    rest = y - columns @ (np.linalg.pinv(columns) @ y)
    error = np.sqrt(rest @ rest / 7) * np.linalg.norm(row)
    assert errors_of(columns, y, ()).half(row) == pytest.approx(stats.t.ppf(0.975, 7) * error)
    assert kernels_of([range(9), [1] * 9]) == []


def test_size_and_tokens_predict_the_papers_models():
    rows = published.scaling()
    n, t, y = (rows[c].to_numpy(float) for c in ("params", "tokens", "fid"))
    errors = []
    inside = 0
    for out in range(12):
        rest = np.arange(12) != out
        found = predict(n[rest], t[rest], y[rest], n[out], t[out])
        errors.append(np.log(found.value / y[out]))
        inside += found.low <= y[out] <= found.high
    assert np.sqrt(np.mean(np.square(errors))) <= 0.09
    assert inside >= 11
    held = size_tokens(n, t, y).held_out
    assert held.predicted == pytest.approx(19.9, abs=0.1)
    assert (held.low, held.high) == pytest.approx((16.5, 24.0), abs=0.1)


def test_size_and_tokens_are_refused_or_warned_of_beyond_the_data():
    y = [9.0, 7.0, 5.0, 4.0]
    assert "needs two values of size" in size_tokens([1e6] * 4, [4, 16, 64, 256], y).status
    assert (
        "needs two values of number of tokens"
        in size_tokens([1e6, 2e6, 3e6, 4e6], [4] * 4, y).status
    )
    law = size_tokens([1e6, 1e6, 4e6, 4e6], [4, 16, 4, 16], y)
    assert law.at(15e6, 16).warning == ""
    assert law.at(40e6, 16).warning == "10 times outside the sizes of the data"
    assert "tokens" in law.at(1e6, 256).warning


def test_methods_that_disagree_are_seen():
    assert Estimate(0.42, 0.4, 0.44).apart_from(Estimate(0.33, 0.3, 0.36))
    assert Estimate(0.42).apart_from(Estimate(0.33, 0.3, 0.36))
    assert not Estimate(0.42, 0.2, 0.6).apart_from(Estimate(0.33, 0.3, 0.36))
    assert not Estimate(0.42).apart_from(Estimate(0.33))


@pytest.mark.parametrize(
    ("truth", "least"),
    [
        ("figure 8's line, independent", 0.9),
        ("the paper's FIDs, 2 %", 0.8),
        ("isoFLOP, 7 sizes", 0.8),
    ],
)
def test_intervals_cover_the_truth(truth, least):
    """A short form of benchmarks/fit_coverage.py, whose table is in docs/laws.md."""
    for row in fit_coverage.simulate(truth, 12):
        assert row["coverage"] >= least, row
