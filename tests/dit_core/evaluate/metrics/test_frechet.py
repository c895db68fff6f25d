"""The Fréchet distance: identical sets, permuted order, known Gaussians; and the intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.errors import DataError
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.metrics.frechet import (
    bootstrap_interval,
    delta_interval,
    frechet,
    frechet_infinity,
)


def rotation(width: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


def known_pairs():
    """Yield (mean1, cov1, mean2, cov2, distance) with commuting covariances, where the closed form
    is a plain sum.
    """
    rng = np.random.default_rng(0)
    for width in (1, 2, 8, 64, 256):
        for floor in (0.0, 0.1):  # with floor 0 half the directions have no variance at all
            turn = rotation(width, rng)
            a = rng.uniform(floor, 9, width)
            b = rng.uniform(floor, 9, width)
            if floor == 0.0:
                a[::2] = 0.0
                b[::2] = 0.0
            m1, m2 = rng.standard_normal((2, width))
            exact = float(np.sum((m1 - m2) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2))
            yield m1, turn @ np.diag(a) @ turn.T, m2, turn @ np.diag(b) @ turn.T, exact


def test_known_gaussians_give_the_closed_form():
    errors = []
    for m1, c1, m2, c2, exact in known_pairs():
        value = frechet(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (m1, c1, m2, c2)))
        errors.append(abs(value - exact) / exact)
    print(f"closed form: {len(errors)} pairs, largest relative error {max(errors):.1e}")
    assert max(errors) <= 1e-6


def test_covariances_that_do_not_commute_agree_with_the_matrix_square_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    worst = 0.0
    for width in (3, 32, 128):
        a, b = (
            np.cov(
                rng.standard_normal((2 * width, width)) @ rng.standard_normal((width, width)),
                rowvar=False,
            )
            for _ in range(2)
        )
        exact = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real
        zero = torch.zeros(width)
        worst = max(
            worst, abs(frechet(zero, torch.from_numpy(a), zero, torch.from_numpy(b)) / exact - 1)
        )
    assert worst <= 1e-6


def test_identical_and_permuted_sets():
    features = torch.from_numpy(np.random.default_rng(2).gamma(1.0, size=(500, 64))).float()
    own = Moments.of(features)
    turned = Moments.of(features.flip(0))
    same = frechet(own.mean(), own.covariance(), own.mean(), own.covariance())
    other = torch.zeros(64, dtype=torch.float64), torch.eye(64, dtype=torch.float64)
    change = abs(
        frechet(own.mean(), own.covariance(), *other)
        / frechet(turned.mean(), turned.covariance(), *other)
        - 1
    )
    print(
        f"identical sets {same:.1e}, permuted order changes the distance by {change:.1e} relative"
    )
    assert same <= 1e-3
    assert change <= 1e-6


def test_moments_equal_numpy_and_merge_in_any_cut():
    rng = np.random.default_rng(3)
    features = torch.from_numpy(
        1000 + rng.standard_normal((700, 16))
    ).float()  # a mean far from zero
    whole = Moments.of(features)
    np.testing.assert_allclose(whole.mean(), features.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        whole.covariance(), np.cov(features.double().numpy(), rowvar=False), rtol=0, atol=1e-6
    )
    for parts in (2, 7, 70):
        merged = Moments.merged([Moments.of(part) for part in features.chunk(parts)])
        assert merged.count == 700
        np.testing.assert_allclose(merged.covariance(), whole.covariance(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_named(value: float):
    features = torch.zeros(5, 3)
    features[3, 1] = value
    with pytest.raises(DataError, match="feature vector 3"):
        Moments.of(features)


def test_one_sample_has_no_covariance():
    with pytest.raises(DataError, match="at least 2 samples"):
        Moments.of(torch.zeros(1, 3)).covariance()


def draws(seed: int, n: int, width: int = 16) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((n, width)) * np.linspace(0.5, 2, width) + 0.3)


def test_intervals_have_the_spread_of_repeats():
    mean = torch.zeros(16, dtype=torch.float64)
    cov = torch.eye(16, dtype=torch.float64)
    values = []
    boot = []
    delta = []
    for seed in range(40):
        features = draws(seed, 400)
        own = Moments.of(features)
        values.append(frechet(own.mean(), own.covariance(), mean, cov))
        if seed < 8:
            boot.append(bootstrap_interval(features, mean, cov))
            delta.append(delta_interval(features, mean, cov))
            assert boot[-1][0] < values[-1] < boot[-1][1]
    spread = 2 * 1.96 * np.std(values, ddof=1)
    for intervals in (boot, delta):
        width = np.mean([high - low for low, high in intervals])
        assert 0.7 < width / spread < 1.4


def test_extrapolation_removes_most_of_the_bias():
    mean = torch.zeros(16, dtype=torch.float64)
    cov = torch.diag(torch.linspace(0.5, 2, 16).double() ** 2)
    exact = 16 * 0.3**2
    plain = []
    beyond = []
    for seed in range(12):
        features = draws(seed, 600)
        own = Moments.of(features)
        plain.append(frechet(own.mean(), own.covariance(), mean, cov))
        beyond.append(frechet_infinity(features, mean, cov))
    assert np.mean(plain) > exact
    assert abs(np.mean(beyond) - exact) < 0.5 * (np.mean(plain) - exact)


def test_extrapolation_needs_room():
    assert frechet_infinity(draws(0, 60), torch.zeros(16), torch.eye(16)) is None
