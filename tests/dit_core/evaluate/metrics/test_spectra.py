"""Power spectra and cross-correlation of maps: by hand, by theory, and their corrected noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.evaluate.metrics.spectra import row_spectra, shells, spectrum_metrics
from dit_core.evaluate.protocol.fit import misfits
from dit_core.study.catalogue.protocols import protocol_of
from dit_core.study.science.data import BUILT_IN, Data
from dit_core.study.science.sampling import Evaluation, Sampling


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_shells_count_cycles_per_longer_side():
    shell, sizes = shells(4, 8)
    ky = [0, 2, -4, -2]  # cycles per 8 pixels of the four rows
    kx = [0, 1, 2, 3, -4, -3, -2, -1]
    want = np.array([[round(float(np.hypot(y, x))) for x in kx] for y in ky])
    want = np.where((want == 0) | (want > 4), -1, want - 1)
    assert shell.view(4, 8).tolist() == want.tolist()
    assert sizes.tolist() == [(want == k).sum() for k in range(4)]


def test_a_wave_has_its_power_in_its_shell_and_parseval_holds():
    x = torch.cos(2 * torch.pi * 3 * torch.arange(16) / 16).expand(1, 1, 16, 16)
    own, other, cross = row_spectra(x, x)
    assert own[0].argmax() == 2  # shell 3
    assert own.sum() == pytest.approx(own[0, 2].item())
    _, sizes = shells(16, 16)
    assert own[0, 2] * sizes[2] == pytest.approx(x.numel() * x.square().sum().item())
    assert torch.equal(own, other)
    assert torch.allclose(own, cross)


def test_power_and_place_are_told_apart():
    real = noise(300, 2, 12, 12)
    power, place = spectrum_metrics(real * 2, real)
    assert power["value"] == pytest.approx(2 * np.log10(2), rel=1e-6)
    assert place["value"] == pytest.approx(1)
    power, place = spectrum_metrics(real.roll(6, dims=0), real)  # right maps at the wrong rows
    assert power["value"] < 0.01
    assert abs(place["value"]) < 0.03
    mixed = real + 0.5 * noise(300, 2, 12, 12, seed=1)
    power, place = spectrum_metrics(mixed, real)
    assert power["low"] < np.log10(1.25) < power["high"]
    assert place["low"] < 1.25**-0.5 < place["high"]


def test_independent_maps_of_equal_power_have_no_error_on_average():
    """Without the correction it would be 0.02 to 0.03, from the scatter of the rows alone."""
    found = [
        spectrum_metrics(noise(150, 1, 12, 12, seed=2 * s), noise(150, 1, 12, 12, seed=2 * s + 1))[
            0
        ]
        for s in range(12)
    ]
    assert np.mean([f["value"] ** 2 for f in found]) ** 0.5 < 0.012
    assert sum(f["low"] < 0.01 for f in found) >= 11


def test_several_samples_of_a_row_are_averaged_and_a_flat_channel_has_no_value():
    real = noise(40, 1, 8, 8)
    own, _, _ = row_spectra(torch.cat([real, 3 * real]), real)
    one, _, _ = row_spectra(real, real)
    assert torch.allclose(own, 5 * one)
    flat = torch.cat([real, torch.ones_like(real)], dim=1)
    assert [m["value"] for m in spectrum_metrics(flat, flat)] == [None, None]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data(), "have no condition but a label"),
        (BUILT_IN["wine"], "for vectors: vectors"),
        (
            Data(name="l", kind="latents", channels=4, height=32, width=32, images=8),
            "names no decoder",
        ),
        (BUILT_IN["digits-coarse"], None),
        (
            Data(
                name="sky",
                kind="npz",
                channels=2,
                height=12,
                width=20,
                classes=1,
                images=90,
                vector=3,
            ),
            None,
        ),
    ],
)
def test_which_data_are_fields(data, words):
    evaluation = Evaluation(images_seen=16, protocol="fields", samples=100, sampling=Sampling())
    found = misfits(protocol_of("fields"), data, evaluation)
    assert (words is None and not found) or (
        words is not None and any(words in misfit.text for misfit in found)
    ), found
