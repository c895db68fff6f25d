"""What the 95 % intervals of every fit hold, on simulated studies.

    python benchmarks/fit_coverage.py [--studies 500] [--only NAME] [--json]

Each cell draws studies from a known truth and fits them as real results are. Coverage is the share
of printed intervals that hold the truth; it should lie between 92 and 98 % where the law can
express the truth, and at 88 % or more where it cannot (`forms`). Where a fit prints no interval the
study counts under "none". The truth of a slope is the slope that the law has on the data without
noise; the truth of a prediction is the value of the largest model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.laws.correlation import correlate
from analysis.laws.data.estimate import Estimate, HeldOut
from analysis.laws.isoflop import Curve, isoflop_of
from analysis.laws.line import ols
from analysis.laws.patch_law import patch_law
from analysis.laws.power_law import power_law
from analysis.laws.size_tokens import size_tokens
from analysis.laws.surface import surface

Array = np.ndarray
Found = dict[str, tuple[float, Estimate]]  # name: (truth, what the fit says)
SIZE = np.repeat(np.arange(4), 3)
PATCH = np.tile([8.0, 4.0, 2.0], 4)
GMACS = np.array([0.36, 1.41, 6.06, 1.42, 5.56, 23.01, 5.01, 19.7, 80.71, 7.39, 29.05, 118.64])
PARAMS = np.repeat([33e6, 130e6, 458e6, 675e6], 3)
TOKENS = (32 / PATCH) ** 2
FID = np.array(
    [153.6, 100.41, 68.4, 122.74, 68.38, 43.47, 118.87, 45.64, 23.33, 106.41, 43.01, 19.47]
)
CLUSTERS = (SIZE, PATCH)
X14 = np.geomspace(0.3, 120, 14)


@dataclass(frozen=True)
class Cell:
    """A truth and the fits made of it; `forms`: whether the laws can express the truth."""

    draw: Callable[[np.random.Generator], Found]
    forms: bool = True


def estimate(held: HeldOut | None) -> Estimate:
    """Return a held-out prediction as an estimate."""
    return Estimate() if held is None else Estimate(held.predicted, held.low, held.high)


def slope_of(y: Array) -> Estimate:
    """Return the slope of the line over log10 G on the grid of twelve."""
    found = ols(np.log10(GMACS), y, clusters=CLUSTERS)
    return Estimate(found.slope, found.slope_low, found.slope_high)


def grid_noise(rng: np.random.Generator, shared: float, own: float) -> Array:
    """Return deviations (12,): of each size and each patch `shared`, of each model `own`."""
    by_size = np.repeat(rng.normal(0, shared, 4), 3)
    by_patch = np.tile(rng.normal(0, shared, 3), 4)
    return by_size + by_patch + rng.normal(0, own, 12)


def all_on_grid(truth: Array, y: Array) -> Found:
    """Fit line, patch-aware and size x tokens law; true numbers are those of `truth`."""
    clean = patch_law(GMACS, PATCH, truth)
    law = patch_law(GMACS, PATCH, y, clusters=CLUSTERS)
    sized = size_tokens(PARAMS, TOKENS, y)
    line = float(ols(np.log10(GMACS), truth).slope or 0)
    return {
        "slope per tenfold": (line, slope_of(y)),
        "patch-aware, ln G": (float(clean.coefficients[1].value or 0), law.coefficients[1]),
        "patch-aware, ln G ln p": (float(clean.coefficients[3].value or 0), law.coefficients[3]),
        "patch-aware, held out": (float(y[-1]), estimate(law.held_out)),
        "pooled line, held out": (float(y[-1]), estimate(law.pooled_held_out)),
        "size x tokens, held out": (float(y[-1]), estimate(sized.held_out)),
    }


def shared_deviations(rng: np.random.Generator) -> Found:
    """A line with deviations of 16 that sizes and patches share, as in the paper's figure 8."""
    y = 126.15 - 54.28 * np.log10(GMACS) + grid_noise(rng, 11.0, 4.0)
    logs = 4.67 - 0.34 * np.log(GMACS) + grid_noise(rng, 0.16, 0.06)
    law = patch_law(GMACS, PATCH, np.exp(logs), clusters=CLUSTERS)
    power = power_law(GMACS, np.exp(logs), clusters=CLUSTERS)
    return {
        "slope per tenfold": (-54.28, slope_of(y)),
        "patch-aware, ln G": (-0.34, law.coefficients[1]),
        "pooled line, held out": (float(np.exp(logs[-1])), estimate(law.pooled_held_out)),
        "power law, held out": (float(np.exp(logs[-1])), estimate(power.held_out)),
        "power law, exponent": (0.34, power.exponent),
    }


def independent(rng: np.random.Generator) -> Found:
    """The line of figure 8 with deviations of 16 that nothing shares."""
    y = 126.15 - 54.28 * np.log10(GMACS) + rng.normal(0, 16, 12)
    return {"slope per tenfold": (-54.28, slope_of(y))}


def patch_truth(rng: np.random.Generator) -> Found:
    """The patch-aware law itself with 3 % of noise."""
    lg = np.log(GMACS)
    lp = np.log(PATCH)
    truth = np.exp(4.67 - 0.454 * lg + 0.105 * lp + 0.131 * lg * lp)
    found = all_on_grid(truth, truth * np.exp(rng.normal(0, 0.03, 12)))
    return {k: v for k, v in found.items() if k.startswith("patch")}


def size_token_truth(rng: np.random.Generator) -> Found:
    """The size x tokens law, drawn from its own prior, with its own noise."""
    from analysis.laws.size_tokens import PRIOR_MEAN, PRIOR_SD, SIGMA

    u = np.log(PARAMS / np.exp(np.log(PARAMS).mean()))
    w = np.log(TOKENS / np.exp(np.log(TOKENS).mean()))
    mean = PRIOR_MEAN + PRIOR_SD * rng.normal(size=6)
    mean[0] = 4.0
    sigma = SIGMA[0] * np.exp(SIGMA[1] * rng.normal())
    columns = np.stack([np.ones_like(u), u, w, u * w, u**2, w**2], 1)
    y = np.exp(columns @ mean + rng.normal(0, sigma, 12))
    found = size_tokens(PARAMS, TOKENS, y)
    return {
        "size x tokens, ln N": (mean[1], found.coefficients[1]),
        "size x tokens, ln N ln T": (mean[3], found.coefficients[3]),
        "size x tokens, held out": (float(y[-1]), estimate(found.held_out)),
    }


def paper_truth(noise: float) -> Callable[[np.random.Generator], Found]:
    """The paper's FIDs as truth: no law has exactly their form."""

    def draw(rng: np.random.Generator) -> Found:
        y = FID * np.exp(rng.normal(0, noise, 12))
        power = power_law(GMACS, y, clusters=CLUSTERS)
        return {**all_on_grid(FID, y), "power law, held out": (y[-1], estimate(power.held_out))}

    return draw


def power_truth(offset: float, seeds: int = 1) -> Callable[[np.random.Generator], Found]:
    """A power law with 3 % noise over fourteen models."""

    def draw(rng: np.random.Generator) -> Found:
        level = np.repeat(offset + 140 * X14**-0.45, seeds)
        y = level * np.exp(rng.normal(0, 0.03, len(level)))
        law = power_law(np.repeat(X14, seeds), y, groups=np.repeat(np.arange(14), seeds))
        last = float(np.exp(np.log(y[-seeds:]).mean()))
        return {
            "power law, offset": (offset, law.offset),
            "power law, exponent": (0.45, law.exponent),
            "power law, held out": (last, estimate(law.held_out)),
        }

    return draw


def line_with_floor(rng: np.random.Generator) -> Found:
    """Linear in log G down to a floor of 12 that the largest models reach; 3 % noise."""
    y = np.maximum(110 - 50 * np.log10(X14), 12.0) * np.exp(rng.normal(0, 0.03, 14))
    power = power_law(X14, y)
    pooled = patch_law(X14, np.tile([2.0, 4.0], 7), y)
    return {
        "power law, held out": (float(y[-1]), estimate(power.held_out)),
        "pooled line, held out": (float(y[-1]), estimate(pooled.pooled_held_out)),
    }


def correlations(n: int) -> Callable[[np.random.Generator], Found]:
    """Draw n models whose r is -0.93 in the population."""

    def draw(rng: np.random.Generator) -> Found:
        x = rng.normal(size=n)
        y = -0.93 * x + np.sqrt(1 - 0.93**2) * rng.normal(size=n)
        r = correlate(x, y, rng)
        rank = correlate(x, y, rng, method="spearman")
        return {
            "Pearson": (-0.93, Estimate(r.r, r.low, r.high)),
            "Spearman": (-6 / np.pi * np.arcsin(0.465), Estimate(rank.r, rank.low, rank.high)),
        }

    return draw


def correlation_on_grid(rng: np.random.Generator) -> Found:
    """Twelve models of a grid with r -0.93, their deviations shared by size and patch."""
    x = np.log10(GMACS)
    steep = np.sqrt((2 + 0.3**2) * 0.93**2 / (1 - 0.93**2) / x.var())
    y = -steep * x + grid_noise(rng, 1.0, 0.3)
    r = correlate(x, y, rng, clusters=CLUSTERS)
    return {"Pearson, shared deviations": (-0.93, Estimate(r.r, r.low, r.high))}


def isoflop_truth(sizes: int, budgets: int = 6) -> Callable[[np.random.Generator], Found]:
    """Curves of some sizes, 2 % between trainings; N_opt grows as C^0.5."""

    def draw(rng: np.random.Generator) -> Found:
        curves = []
        for n in np.geomspace(3e7, 1.5e9, sizes):
            c = np.geomspace(2.4e16, 2.5e18, 12)
            y = 0.05 + 40 * n**-0.4 + 40 * (c / (6 * n)) ** -0.4
            curves.append(Curve(n, c, y * np.exp(rng.normal(0, 0.02) + rng.normal(0, 0.003, 12))))
        return {"isoFLOP, exponent": (0.5, isoflop_of(curves, budgets).exponent)}

    return draw


def surface_truth(rng: np.random.Generator) -> Found:
    """L(N, D) along the curves of nine trainings, two seeds each, 1 % between seeds."""
    rows = []
    for k, n in enumerate(np.geomspace(1e6, 1e9, 9)):
        for _ in range(2):
            shift = rng.normal(0, 0.01)
            for d in np.geomspace(1e7, 1e10, 3):
                noise = np.exp(shift + rng.normal(0, 0.003))
                rows.append((k, n, d, (0.1 + 30 * n**-0.35 + 60 * d**-0.3) * noise))
    k, n, d, y = np.array(rows).T
    found = surface(n, d, y, rng, trainings=k, held_out=False)
    return {
        "surface, alpha": (0.35, found.alpha),
        "surface, beta": (0.3, found.beta),
        "surface, best size": (0.3 / 0.65, found.allocation),
    }


CELLS: dict[str, Cell] = {
    "figure 8's line, independent": Cell(independent),
    "patch-aware law, 3 %": Cell(patch_truth),
    "size x tokens law": Cell(size_token_truth),
    "power law, offset 8": Cell(power_truth(8.0)),
    "power law, offset 8, 3 seeds": Cell(power_truth(8.0, 3)),
    "power law, no offset": Cell(power_truth(0.0)),
    "r -0.93, 12 models": Cell(correlations(12)),
    "r -0.93, 6 models": Cell(correlations(6)),
    "isoFLOP, 4 sizes": Cell(isoflop_truth(4)),
    "isoFLOP, 7 sizes": Cell(isoflop_truth(7)),
    "isoFLOP, 7 sizes, 30 budgets": Cell(isoflop_truth(7, 30)),
    "surface, 9 sizes, 2 seeds": Cell(surface_truth),
    "4 x 3 grid, shared deviations": Cell(shared_deviations, forms=False),
    "4 x 3 grid, shared, r": Cell(correlation_on_grid, forms=False),
    "the paper's FIDs, 2 %": Cell(paper_truth(0.02), forms=False),
    "the paper's FIDs, 5 %": Cell(paper_truth(0.05), forms=False),
    "linear in log G with a floor": Cell(line_with_floor, forms=False),
}


def simulate(name: str, studies: int, seed: int = 0) -> Iterator[dict[str, float | str | int]]:
    """Yield a row per fitted number: median error, coverage, studies without an interval."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    found = [CELLS[name].draw(rng) for _ in range(studies)]
    for what in found[0]:
        rows = [f[what] for f in found]
        ends = [(t, e.low, e.high) for t, e in rows if e.low is not None and e.high is not None]
        errors = [e.value - t for t, e in rows if e.value is not None]
        inside = sum(low <= t <= high for t, low, high in ends)
        width = float(np.median([high - low for _, low, high in ends])) if ends else float("nan")
        yield {
            "truth": name,
            "fit": what,
            "forms": CELLS[name].forms,
            "studies": studies,
            "none": studies - len(ends),
            "median_error": round(float(np.median(errors)), 4) if errors else float("nan"),
            "median_width": round(width, 4),
            "coverage": round(inside / len(ends), 4) if ends else float("nan"),
        }


def text_of(row: dict[str, float | str | int]) -> str:
    """Return a row of the table for people, in Markdown."""
    cells = [row["truth"], row["fit"], f"{row['median_error']:.3g}", f"{row['median_width']:.3g}"]
    return "| " + " | ".join(map(str, [*cells, f"{row['coverage']:.1%}", row["none"]])) + " |"


def main() -> None:
    """Print the table as Markdown, or one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--only", default="", help="truths whose name contains this")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    rows = []
    if not args.json:
        print("| truth | fit | median error | median width | coverage | none |")
        print("|---|---|---|---|---|---|")
    for name in (n for n in CELLS if args.only in n):
        print(f"{time.monotonic() - start:.0f} s: {name}", file=sys.stderr)
        for row in simulate(name, args.studies):
            rows.append(row)
            if not args.json:
                print(text_of(row), flush=True)
    if args.json:
        print(json.dumps({"seconds": round(time.monotonic() - start, 1), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
