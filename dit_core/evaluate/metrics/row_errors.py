"""The error of samples against the real sample of their conditions, and of a simple guess."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dit_core.evaluate.metrics.intervals import Metric, bootstrapped
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.model.conditions import Conditions, labels_of


@dataclass(frozen=True, slots=True)
class Truth:
    """What samples of n rows are compared with, in shares of the range from -1 to 1."""

    x: Tensor
    """The real samples, (n, P) float64."""
    guess: Tensor
    """What a simple guess makes of the same conditions, (n, P) float64."""
    counted: Tensor
    """Which elements count, (n, P) bool."""
    labels: Tensor
    """Labels (n,) int64, by which the record slices the error."""


def errors(samples: Tensor, truth: Truth) -> tuple[Metric, ...]:
    """Return root mean squared errors of samples (N, P), i against row i mod n, and ratios.

    In the order of the family "completion": of single samples, of the mean of a row's samples, of
    the guess, first over third, second over third. A draw from the true distribution errs by 2^1/2
    times its mean's error, so the second says what is known and the first what one sample is worth.
    Intervals: 95 %, bootstrap over rows, all of a row's samples together. The first has the errors
    of each label under "by_label".
    """
    n = len(truth.x)
    single, mean = _row_errors(_shares(samples), truth)
    squares = torch.stack([single, mean, _mean_square(truth.guess - truth.x, truth.counted)])

    def root(k: int, over: int | None = None) -> Metric:
        def statistic(weights: Tensor) -> Tensor:
            value = (weights @ squares[k]).sqrt()
            return value if over is None else value / (weights @ squares[over]).sqrt()

        return bootstrapped(statistic, n)

    first = root(0)
    by_label = {
        str(c): _sliced(squares, truth.labels == c) for c in sorted(set(truth.labels.tolist()))
    }
    return first | {"by_label": by_label}, root(1), root(2), root(0, 2), root(1, 2)  # type: ignore[return-value]


def _sliced(squares: Tensor, rows: Tensor) -> dict[str, float]:
    """Return the errors of one label's rows, as they stand in a record."""
    single, mean, guess = squares[:, rows].mean(dim=1).sqrt().tolist()
    return {"rmse": single, "mean_rmse": mean, "guess_rmse": guess, "rows": int(rows.sum())}


def _row_errors(samples: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Return each row's mean squared error of its samples, and of their mean, (n,) each."""
    n = len(truth.x)
    row = torch.arange(len(samples)) % n
    draws = torch.bincount(row, minlength=n).double()
    single = torch.zeros(n, dtype=torch.float64)
    single.index_add_(0, row, _mean_square(samples - truth.x[row], truth.counted[row]))
    mean = torch.zeros_like(truth.x).index_add_(0, row, samples) / draws[:, None]
    return single / draws, _mean_square(mean - truth.x, truth.counted)


def _mean_square(difference: Tensor, counted: Tensor) -> Tensor:
    return (difference.square() * counted).sum(dim=1) / counted.sum(dim=1)


def _shares(x: Tensor) -> Tensor:
    return (x.flatten(1).double() + 1) / 2


def hidden_truth(rows: Rows, count: int) -> Truth:
    """Return what completions are compared with: elements that the map marks 0, not seen.

    The guess is the mean of the label's training samples.
    """
    x, given = rows.truth(count)
    assert isinstance(given, Conditions)
    assert given.map is not None
    hidden = given.map[:, -1:].expand_as(x).flatten(1) == 0
    return Truth(_shares(x), _shares(class_means(rows)[given.label]), hidden, given.label)


def whole_truth(rows: Rows, count: int) -> Truth:
    """Return what maps are held against: all elements.

    The guess is the mean of the label's training samples.
    """
    x, given = rows.truth(count)
    labels = labels_of(given)
    return Truth(
        _shares(x),
        _shares(class_means(rows)[labels]),
        torch.ones_like(x, dtype=torch.bool).flatten(1),
        labels,
    )


def fine_truth(rows: Rows, count: int) -> Truth:
    """Return what samples made of a coarse map are held against: all elements.

    The guess is the mean of the label's training samples, moved square by square so that its coarse
    map is the given.
    """
    x, given = rows.truth(count)
    assert isinstance(given, Conditions)
    assert given.map is not None
    guess = class_means(rows)[given.label]
    factor = x.shape[-1] // given.map.shape[-1]
    missing = given.map - torch.nn.functional.avg_pool2d(guess, factor)
    guess = guess + torch.nn.functional.interpolate(missing, scale_factor=factor)
    return Truth(
        _shares(x), _shares(guess), torch.ones_like(x, dtype=torch.bool).flatten(1), given.label
    )


def class_means(rows: Rows) -> Tensor:
    """Return the mean training sample of each label; NaN for a label without any."""
    classes = int(rows.training.labels.max()) + 1
    total: Tensor | None = None
    counts = torch.zeros(classes, dtype=torch.float64)
    for x, y in rows.trained_on():
        labels = torch.from_numpy(y)
        total = torch.zeros(classes, *x.shape[1:], dtype=torch.float64) if total is None else total
        total.index_add_(0, labels, x.double())
        counts += torch.bincount(labels, minlength=classes)
    assert total is not None
    return (total / counts.view(-1, 1, 1, 1)).float()
