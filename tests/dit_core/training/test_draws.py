"""Draws are a function of (seed, step), whatever was drawn before, and cut into shares without
loss.
"""

from __future__ import annotations

import torch

from dit_core.study.science.science import Train
from dit_core.training.draws import init_seed, step_draws
from dit_core.training.schedule import learning_rate

SHAPE = (1, 8, 8)


def draws(seed: int, step: int, batch: int = 64):
    return step_draws(torch.Generator(), seed, step, batch, SHAPE)


def test_the_same_place_gives_the_same_draws():
    generator = torch.Generator()
    first = step_draws(generator, 3, 5, 64, SHAPE)
    step_draws(generator, 3, 900, 64, SHAPE)
    again = step_draws(generator, 3, 5, 64, SHAPE)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_other_places_give_other_draws():
    seen = [draws(seed, step).noise for seed in range(4) for step in range(50)]
    values = torch.stack([noise.flatten()[:8] for noise in seen])
    assert len({tuple(row.tolist()) for row in values}) == len(seen)
    assert init_seed(0) != init_seed(1)


def test_draws_have_their_distributions():
    parts = [draws(0, step, 256) for step in range(40)]
    u = torch.cat([p.u for p in parts])
    drop = torch.cat([p.drop for p in parts])
    noise = torch.cat([p.noise.flatten() for p in parts])
    for uniform in (u, drop):
        assert float(uniform.min()) >= 0
        assert float(uniform.max()) < 1
        assert abs(float(uniform.mean()) - 0.5) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([u, drop]))[0, 1])) < 0.05
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01


def test_learning_rates():
    constant = Train(images=1000 * 10, batch=10, lr=1e-3)
    assert {learning_rate(constant, images) for images in (0, 5000, 9990)} == {1e-3}
    warm = Train(images=1000 * 10, batch=10, lr=1e-3, warmup_images=100)
    assert [round(learning_rate(warm, images), 9) for images in (0, 40, 90, 200)] == [
        1e-4,
        5e-4,
        1e-3,
        1e-3,
    ]
    cosine = Train(images=1000 * 10, batch=10, lr=1e-3, schedule="cosine")
    assert learning_rate(cosine, 0) == 1e-3
    assert abs(learning_rate(cosine, 5000) - 5e-4) < 1e-9
    assert learning_rate(cosine, 9990) < 1e-5
