"""How often the rules of the claims are wrong, and how often they see what is there.

    .venv/bin/python benchmarks/verdicts.py [--replicates 2000]

Each cell simulates studies whose truth is known and gives them to the rules that judge claims
(`analysis/noise`): a threshold, a ratio, an order, a trend and `equals`, at the boundary, clearly
true and clearly false; 1, 2 and 3 seeds, or seeds of the first two models only; equal noise, or
2.5 times as much in every second model; the prior right, or half the truth.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.noise.decide import Comparison, Verdict, parts_of, verdict_of
from analysis.noise.model import Mean, NoiseModel, Prior, Training, fit

SD = 0.03  # of one training, a share of the value


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table: a kind of claim, its truth, and how it is measured."""

    kind: str
    truth: str
    models: int
    seeds: str
    noise: str = "equal"
    prior: str = "right"


KINDS = {"ratio": (2,), "threshold": (1, 4, 12), "order": (4, 12), "trend": (4, 12), "equals": (1,)}
STEP = {"boundary": 0.0, "true": 0.20, "false": -0.20}


def cells() -> Iterator[Cell]:
    """Yield every cell of the table."""
    for kind, sizes in KINDS.items():
        for truth, models, seeds in itertools.product(STEP, sizes, ("1", "2", "3", "first two")):
            if seeds == "first two" and models < 4:
                continue
            yield Cell(kind, truth, models, seeds)
            yield Cell(kind, truth, models, seeds, noise="unequal")
        for models in sizes:
            yield Cell(kind, "boundary", models, "1", prior="half")


def counts_of(cell: Cell) -> list[int]:
    """Return the number of trainings of each model."""
    if cell.seeds == "first two":
        return [2 if i < 2 else 1 for i in range(cell.models)]
    return [int(cell.seeds)] * cell.models


def verdict(cell: Cell, rng: np.random.Generator) -> Verdict:
    """Return the verdict on one simulated study."""
    sds = [SD * (2.5 if cell.noise == "unequal" and i % 2 else 1) for i in range(cell.models)]
    known = math.sqrt(float(np.mean(np.square(sds)))) / (2 if cell.prior == "half" else 1)
    step = STEP[cell.truth]
    truths = _truths(cell.kind, cell.models, step)
    trainings = {
        str(i): [Training(truth + sd * rng.standard_normal()) for _ in range(count)]
        for i, (truth, sd, count) in enumerate(zip(truths, sds, counts_of(cell), strict=True))
    }
    model = fit(trainings, Prior(known))
    means = [model.mean(t) for t in trainings.values()]
    return verdict_of(parts_of(_comparisons(cell.kind, model, means)))


def _truths(kind: str, models: int, step: float) -> list[float]:
    """Return the logarithm of each model's true value."""
    if kind == "threshold":
        return [-step] * models  # at most 1
    if kind == "equals":
        return [0.2 - step]  # within 0.2 of 0
    return [step * i for i in range(models)]


def _comparisons(kind: str, model: NoiseModel, means: Sequence[Mean]) -> list[Comparison]:
    if kind == "threshold":
        return [Comparison(model.against(mean, 0.0), below=0.0) for mean in means]
    if kind == "equals":
        return [Comparison(model.against(means[0], 0.0), above=-0.2, below=0.2)]
    pairs = [Comparison(model.difference(a, b), above=0.0) for a, b in itertools.pairwise(means)]
    if kind == "trend":
        pairs.insert(0, Comparison(model.difference(means[0], means[-1]), above=0.0))
    return pairs


def rates(cell: Cell, replicates: int) -> dict[str, float]:
    """Return the share of each verdict over many simulated studies."""
    rng = np.random.default_rng(zlib.crc32(repr(cell).encode()))
    found = Counter(verdict(cell, rng) for _ in range(replicates))
    return {word: found[word] / replicates for word in ("SUPPORTED", "REFUTED", "UNDECIDED")}


def wrong(cell: Cell, found: dict[str, float]) -> float:
    """Return the share of wrong verdicts; at the boundary the worse of the two."""
    if cell.truth == "true":
        return found["REFUTED"]
    if cell.truth == "false":
        return found["SUPPORTED"]
    return max(found["SUPPORTED"], found["REFUTED"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=2000)
    replicates = parser.parse_args().replicates
    print("| kind | truth | models | seeds | noise | prior | SUPPORTED | REFUTED | wrong |")
    print("|---|---|---|---|---|---|---|---|---|")
    for cell in cells():
        found = rates(cell, replicates)
        words = f"{cell.kind} | {cell.truth} | {cell.models} | {cell.seeds} | {cell.noise}"
        shares = [found["SUPPORTED"], found["REFUTED"], wrong(cell, found)]
        numbers = " | ".join(f"{share * 100:.1f} %" for share in shares)
        print(f"| {words} | {cell.prior} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
