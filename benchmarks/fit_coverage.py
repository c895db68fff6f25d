"""Bias and coverage of every fit on simulated studies.

    python benchmarks/fit_coverage.py [--studies 200] [--json]

Each study draws data from a known law with multiplicative noise, clean, with one outlier of eight
standard deviations, or with several seeds per configuration, and is fitted as real results are.
Coverage is the share of studies whose 95 % interval holds the true parameter; it should lie between
92 and 98 %.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator

import numpy as np

from analysis.laws.correlation import correlate
from analysis.laws.fits import ols, power_law, surface
from analysis.laws.patch_law import at_budgets, isoflop, patch_law

Truth = dict[
    str, tuple[float, float | None, float | None, float | None]
]  # name: (true, value, low, high)
SD = 0.03


def noisy(y: np.ndarray, rng: np.random.Generator, outlier: bool) -> np.ndarray:
    """Return y (n,) with log-normal noise of 3 %; an outlier is eight standard deviations off."""
    out = y * np.exp(rng.normal(0, SD, len(y)))
    if outlier:
        out[rng.integers(len(y))] *= np.exp(rng.choice([-1, 1]) * 8 * SD)
    return out


def study_correlation(rng: np.random.Generator) -> Truth:
    """Twelve models whose r is -0.93 in the population."""
    x = np.linspace(-1, 1, 12) * np.sqrt(3)
    y = -x + rng.normal(0, np.sqrt(np.mean(x**2) * (1 / 0.93**2 - 1)), 12)
    found = correlate(x, y, rng, resamples=1000)
    return {"r": (-0.93, found.r, found.low, found.high)}


def study_ols(rng: np.random.Generator) -> Truth:
    """The paper's figure 8 line with its scatter."""
    x = np.log10(np.geomspace(0.36, 118.64, 12))
    found = ols(x, 126.15 - 54.28 * x + rng.normal(0, 16, 12))
    return {"slope": (-54.28, found.slope, found.slope_low, found.slope_high)}


def study_power(rng: np.random.Generator, outlier: bool = False, seeds: int = 1) -> Truth:
    """FID-like power law with offset: 14 configurations that scatter, `seeds` of each."""
    x = np.geomspace(0.3, 120, 14)
    level = 8 + 140 * x**-0.45
    if seeds > 1:
        level = level * np.exp(rng.normal(0, SD / 2, 14))
    xs = np.repeat(x, seeds)
    groups = np.repeat(np.arange(14), seeds)
    law = power_law(
        xs, noisy(np.repeat(level, seeds), rng, outlier), rng, groups=groups, held_out=False
    )
    e = law.offset
    a = (law.scales or (law.offset,))[0]
    b = (law.exponents or (law.offset,))[0]
    return {
        "offset": (8, e.value, e.low, e.high),
        "scale": (140, a.value, a.low, a.high),
        "exponent": (0.45, b.value, b.low, b.high),
    }


def study_surface(rng: np.random.Generator) -> Truth:
    """L(N, D) on a 5 x 5 grid."""
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e7, 1e10, 5)))
    y = (0.1 + 30 * n**-0.35 + 60 * d**-0.3) * np.exp(rng.normal(0, 0.005, len(n)))
    law = surface(n, d, y, rng, held_out=False)
    alpha, beta = (*law.exponents, law.offset, law.offset)[:2]
    return {
        "alpha": (0.35, alpha.value, alpha.low, alpha.high),
        "beta": (0.3, beta.value, beta.low, beta.high),
    }


def study_patch(rng: np.random.Generator) -> Truth:
    """Four sizes by three patches under the patch-aware law."""
    p = np.tile([2.0, 4.0, 8.0], 4)
    g = np.repeat([100.0, 400.0, 1400.0, 2100.0], 3) / p**2 * 0.23
    y = np.exp(4.67 - 0.454 * np.log(g) + 0.105 * np.log(p) + 0.131 * np.log(g) * np.log(p))
    found = patch_law(g, p, noisy(y, rng, False))
    one = found.coefficients[1]
    three = found.coefficients[3]
    return {
        "ln G": (-0.454, one.value, one.low, one.high),
        "ln G ln p": (0.131, three.value, three.low, three.high),
    }


def study_isoflop(rng: np.random.Generator) -> Truth:
    """Seven model sizes at six budgets, L = E + A/N^a + B/D^a: N_opt grows as C^0.5."""
    sizes = np.geomspace(2e6, 5e9, 13)
    budgets = np.geomspace(1e17, 1e20, 6)
    curves = []
    for n in sizes:
        c = np.geomspace(5e16, 2e20, 24)
        curves.append(
            (
                c,
                (0.05 + 40 * n**-0.4 + 40 * (c / (6 * n)) ** -0.4)
                * np.exp(rng.normal(0, 0.004, 24)),
            )
        )
    rows = at_budgets([c for c, _ in curves], [y for _, y in curves], sizes, budgets)
    near = np.abs(np.log(rows[1]) - 0.5 * np.log(rows[0] / 6)) < np.log(
        12
    )  # a grid around the optimum, as is run
    found = isoflop(rows[0][near], rows[1][near], rows[2][near])
    return {"exponent": (0.5, found.exponent.value, found.exponent.low, found.exponent.high)}


STUDIES: dict[str, Callable[[np.random.Generator], Truth]] = {
    "pearson, 12 models": study_correlation,
    "OLS on log Gflops, 12 models": study_ols,
    "power law, 14 models": study_power,
    "power law, one outlier": lambda rng: study_power(rng, outlier=True),
    "power law, 3 seeds": lambda rng: study_power(rng, seeds=3),
    "power law, 3 seeds, one outlier": lambda rng: study_power(rng, outlier=True, seeds=3),
    "patch-aware law, 12 models": study_patch,
    "isoFLOP minima, 6 budgets": study_isoflop,
    "surface L(N, D), 25 runs": study_surface,
}


def simulate(name: str, studies: int, seed: int = 0) -> Iterator[dict[str, float | str | int]]:
    """Yield a row per parameter: mean relative bias, coverage, studies without an interval."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    found = [STUDIES[name](rng) for _ in range(studies)]
    for parameter in found[0]:
        rows = [f[parameter] for f in found]
        good = [
            (t, v, low, high)
            for t, v, low, high in rows
            if v is not None and low is not None and high is not None
        ]
        inside = sum(low <= t <= high for t, _, low, high in good)
        bias = float(np.median([v / t - 1 for t, v, _, _ in good]))
        yield {
            "fit": name,
            "parameter": parameter,
            "studies": studies,
            "without_interval": studies - len(good),
            "median_bias": round(bias, 4),
            "coverage": round(inside / max(1, len(good)), 4),
        }


def main() -> None:
    """Print the table, or one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--only", default="", help="fits whose name contains this")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    rows = []
    if not args.json:
        head = f"{'fit':<34}{'parameter':<12}{'median bias':>12}{'coverage':>10}{'no interval':>13}"
        print(f"{head}  ({args.studies} studies)")
    for study in (n for n in STUDIES if args.only in n):
        for row in simulate(study, args.studies):
            rows.append(row)
            if not args.json:
                name = f"{row['fit']:<34}{row['parameter']:<12}"
                found = f"{row['median_bias']:>12.2%}{row['coverage']:>10.1%}"
                print(f"{name}{found}{row['without_interval']:>13}", flush=True)
    seconds = round(time.monotonic() - start, 1)
    print(json.dumps({"seconds": seconds, "rows": rows}, indent=1) if args.json else f"{seconds} s")


if __name__ == "__main__":
    main()
