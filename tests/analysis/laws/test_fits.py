"""Fits: known parameters come back, wrong inputs give flags and never numbers, the paper's laws are
what they are.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from analysis.laws.correlation import correlate, difference
from analysis.laws.isoflop import Curve, at_budgets, isoflop
from analysis.laws.line import Line, ols
from analysis.laws.patch_law import PatchLaw, patch_law
from analysis.laws.power_law import PowerLaw, power_law
from analysis.laws.power_terms import DELTA, Problem, best, huber, model
from analysis.laws.size_tokens import SizeTokens, size_tokens
from analysis.laws.surface import Surface, surface
from analysis.published import numbers as published

RNG = 5
BAD = {
    "none": ([], []),
    "one": ([1.0], [2.0]),
    "two": ([1.0, 2.0], [2.0, 1.0]),
    "nan": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [9.0, 8.0, np.nan, 6.0, 5.0, 4.0, 3.0, 2.0]),
    "inf": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, np.inf], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]),
    "flat x": ([3.0] * 8, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]),
}


def _numbers(found: object) -> list[float]:
    if isinstance(found, Line):
        values = [found.slope, found.intercept, found.r2, found.slope_low, found.slope_high]
    elif isinstance(found, PowerLaw | PatchLaw | SizeTokens | Surface):
        if isinstance(found, PowerLaw):
            estimates = [found.offset, found.scale, found.exponent]
        elif isinstance(found, Surface):
            estimates = [found.offset, found.alpha, found.beta, found.allocation]
        else:
            estimates = list(found.coefficients)
        values = [v for e in estimates for v in (e.value, e.low, e.high)]
    else:
        values = [found.r, found.low, found.high]
    return [v for v in values if v is not None]


@pytest.mark.parametrize("case", list(BAD))
def test_wrong_input_gives_a_flag_and_no_number(case):
    x, y = BAD[case]
    rng = np.random.default_rng(RNG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [
            ols(x, y),
            power_law(x, y),
            surface(x, x, y, rng),
            patch_law(x, [2.0] * len(x), y),
            size_tokens(x, [16.0] * len(x), y),
            correlate(x, y, rng),
            correlate(x, y, rng, method="spearman"),
            difference(x, x, y, rng),
        ]
    for one in found:
        assert one.status != "ok", one
        assert _numbers(one) == [], one


def test_flat_or_non_positive_values_are_flagged():
    rng = np.random.default_rng(RNG)
    x = np.arange(1.0, 9.0)
    assert power_law(x, np.full(8, 2.0)).status == "zero variance"
    assert power_law(x - 1, x).status == "not positive"
    assert power_law(x, -x).status == "not positive"
    assert correlate(x, np.full(8, 0.1 + 0.2), rng).status == "zero variance"


def test_lengths_that_differ_are_a_bug():
    with pytest.raises(ValueError, match="3 values and y 2"):
        ols([1, 2, 3], [1, 2])


def test_search_finds_what_a_general_minimiser_finds():
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    x = np.geomspace(0.3, 120, 14)
    problem = Problem.of(x[:, None], (8 + 140 * x**-0.45) * np.exp(rng.normal(0, 0.03, 14)))
    theta, loss, moved = best(problem)

    def cost(t):
        return float(huber(model(t[None], problem.u)[0] - problem.v, np.ones((1, 14)), DELTA)[0])

    other = min(
        (
            minimize(
                cost,
                s,
                method="Nelder-Mead",
                options={"maxiter": 4000, "xatol": 1e-10, "fatol": 1e-16},
            )
            for s in problem.starts()[::4]
        ),
        key=lambda r: r.fun,
    )
    assert loss <= other.fun * (1 + 1e-6)
    assert theta[2] == pytest.approx(other.x[2], abs=1e-4)
    assert moved < 1e-6


def test_one_outlier_hardly_moves_the_law():
    rng = np.random.default_rng(2)
    x = np.geomspace(0.3, 120, 14)
    y = (8 + 140 * x**-0.45) * np.exp(rng.normal(0, 0.01, 14))
    clean = power_law(x, y).exponent.value
    y[6] *= 3
    assert power_law(x, y).exponent.value == pytest.approx(clean, abs=0.03)
    squares = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert abs(squares + 0.45) > 0.05  # plain least squares, without offset, does not recover it


def test_no_offset_is_said_and_not_invented():
    x = np.geomspace(1, 100, 12)
    law = power_law(x, 50 * x**-0.3)
    assert "at a bound: offset 0" in law.flags
    assert law.offset.value == law.offset.low == 0.0
    assert law.exponent.value == pytest.approx(0.3, abs=1e-3)


def test_the_papers_points_pooled_and_with_the_patch():
    rows = published.scaling()
    law = patch_law(rows["fwd_gmacs"], rows["patch"], rows["fid"])
    assert law.pooled_held_out.predicted == pytest.approx(26.5, abs=0.05)
    assert law.held_out.actual == pytest.approx(19.47)
    assert abs(law.held_out.error) < abs(law.pooled_held_out.error) / 3
    assert law.held_out.inside
    assert law.exponent(2) < law.exponent(4) < law.exponent(8) < 0
    pooled = power_law(rows["fwd_gmacs"], rows["fid"])
    assert pooled.held_out.predicted == pytest.approx(25.8, abs=0.3)
    assert "at a bound: offset 0" in pooled.flags


def test_surface_recovers_both_exponents():
    rng = np.random.default_rng(0)
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e7, 1e10, 5)))
    law = surface(n, d, 0.1 + 30 * n**-0.35 + 60 * d**-0.3, rng)
    assert [law.alpha.value, law.beta.value] == pytest.approx([0.35, 0.3], abs=0.01)
    assert law.offset.value == pytest.approx(0.1, abs=0.01)
    assert law.held_out.predicted == pytest.approx(law.held_out.actual, rel=0.02)


def test_isoflop_minima_inside_count_and_edges_do_not():
    budgets = np.geomspace(1e17, 1e20, 6)
    sizes = np.geomspace(2e6, 5e9, 13)
    curves = [np.geomspace(5e16, 2e20, 40)] * len(sizes)
    y = [
        0.05 + 40 * n**-0.4 + 40 * (c / (6 * n)) ** -0.4 for n, c in zip(sizes, curves, strict=True)
    ]
    pairs = zip(sizes, curves, y, strict=True)
    rows = at_budgets([Curve(n, c, v) for n, c, v in pairs], budgets)
    near = np.abs(np.log(rows[1]) - 0.5 * np.log(rows[0] / 6)) < np.log(12)
    found = isoflop(*(r[near] for r in rows))
    assert found.exponent.value == pytest.approx(0.5, abs=0.03)
    small = rows[1] < 3e7
    edges = isoflop(*(r[small] for r in rows))
    assert {m.status for m in edges.minima if m.budget > 1e19} == {"edge minimum"}
    assert edges.exponent.value is None


def test_at_budgets_never_extrapolates():
    budget, n, y = at_budgets(
        [
            Curve(7.0, np.array([1.0, 10.0]), np.array([4.0, 2.0])),
            Curve(8.0, np.array([5.0, 50.0]), np.array([3.0, 1.0])),
        ],
        [2.0, 8.0, 60.0],
    )
    assert list(zip(budget, n, strict=True)) == [(2.0, 7.0), (8.0, 7.0), (8.0, 8.0)]
    assert (y > 1).all()


def test_a_correlation_is_that_of_the_configurations_means():
    """A model with many seeds weighs as much as one with a single seed: r belongs to the n it is
    printed with.
    """
    x = np.array([1.0, 2, 3, 4, 5, 5, 5])
    y = np.array([5.0, 4, 4, 2, 1, 1.4, 0.6])
    found = correlate(x, y, np.random.default_rng(0), groups=np.array(list("abcdeee")))
    assert found.r == pytest.approx(np.corrcoef(np.arange(1, 6), [5, 4, 4, 2, 1])[0, 1])
    assert found.n == 5


def test_correlation_counts_models_and_not_seeds():
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(6.0), 10)
    y = -x + np.repeat(rng.normal(0, 2, 6), 10) + rng.normal(0, 0.01, 60)
    alone = correlate(x, y, np.random.default_rng(1))
    grouped = correlate(x, y, np.random.default_rng(1), groups=x)
    assert (alone.n, grouped.n) == (60, 6)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
