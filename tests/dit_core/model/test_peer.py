"""Our network against diffusers' DiTTransformer2DModel, weight by weight."""

from __future__ import annotations

import pytest
import torch
from dit_sciences import LATENT, inputs, published, shaken, small

from dit_core.model.build import build_model
from dit_core.model.weights.diffusers_layout import (
    diffusers_config,
    released_of_diffusers,
    to_diffusers,
)
from dit_core.model.weights.released import from_released

BOUND = 1e-5

CASES = {
    "S/4 on latents": published("S", 4),
    "S/2 on latents": published("S", 2),
    "digits, patch 1": small(patch=1),
    "digits, patch 8, three heads": small(patch=8, heads=3),
    "B/8, two blocks": small(data=LATENT, hidden=768, heads=12, patch=8),
}


def peer_of(science, weights, freq_shift: int):
    """Return diffusers' network with our weights; a shift of 1 is how diffusers builds it, 0 as
    released.
    """
    from diffusers import DiTTransformer2DModel

    peer = DiTTransformer2DModel(**diffusers_config(science)).eval()
    missing, extra = peer.load_state_dict(to_diffusers(weights, science), strict=False)
    assert (missing, extra) == ([], [])
    for block in peer.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = freq_shift
    return peer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("frequencies", "shift"), [("released", 0), ("diffusers", 1)])
@torch.no_grad()
def test_output_equals_diffusers(case, frequencies, shift):
    science = CASES[case]
    model = science.model.model_copy(update={"time_frequencies": frequencies})
    science = science.model_copy(update={"model": model})
    ours = shaken(build_model(science)).eval()
    x, t, y = inputs(science)
    want = peer_of(science, ours.state_dict(), shift)(x, timestep=t.long(), class_labels=y).sample
    got = ours(x, t, y)
    difference = (got - want).abs().max().item()
    print(
        f"{case}, {frequencies}: largest difference {difference:.1e}, largest output "
        f"{want.abs().max():.2f}"
    )
    assert difference < BOUND
    assert want.abs().max() > 0.1  # a silent network would agree with anything
    other = peer_of(science, ours.state_dict(), 1 - shift)(
        x, timestep=t.long(), class_labels=y
    ).sample
    assert (
        got - other
    ).abs().max() > 10 * BOUND  # the two spacings of frequencies are two networks


@torch.no_grad()
def test_weights_come_back_from_diffusers():
    science = published("S", 8)
    ours = shaken(build_model(science))
    released = released_of_diffusers(to_diffusers(ours.state_dict(), science), "here")
    table = build_model(science).positions
    back = from_released({**released, "pos_embed": table[None]}, science, "here")
    assert back.keys() == ours.state_dict().keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in ours.state_dict().items())
