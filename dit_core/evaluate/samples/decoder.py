"""From latents to images: the decoder a protocol names, in float32, its hash checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dit_core.errors import EnvironmentProblem, UserError
from dit_core.evaluate.protocol.assets import decoder_place
from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.science.science import Data

# Images of 256 x 256 per pass: the decoder's activations of one take about 1 GB in float32. Larger
# ones go in fewer.
DECODE_BATCH = 16
_LATENT = 32 * 32


def make_decoder(
    protocol: Protocol, data: Data, roots: dict[str, str] | None, device: torch.device
) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Return (decode, identity); decode takes scaled latents (B, C, h, w) to (B, 3, H, W).

    Raises, before the VAE is loaded, EnvironmentProblem where its files are missing or have another
    hash, and UserError where latents of this shape would not give images of the protocol's size.
    """
    from dit_core.data.latents.vae import find_vae

    assert protocol.decoder is not None
    place = decoder_place(protocol.decoder, roots)
    vae_folder = find_vae(place)
    found = vae_folder.identity.weights_sha256
    if not found.startswith(protocol.decoder.weights_sha256):
        raise EnvironmentProblem(
            f"{place}: the VAE's weights have sha256 {found[:16]}…, but protocol {protocol.name!r} "
            "is defined with "
            f"{protocol.decoder.weights_sha256[:16]}… ({protocol.decoder.hub}); put the right "
            "folder there"
        )
    if protocol.image is not None:
        wanted = vae_folder.latent_shape(protocol.image[1])
        if wanted != (data.channels, data.height, data.width):
            raise UserError(
                f"data is {data.channels}x{data.height}x{data.width}, but images of "
                f"{protocol.image[1]} pixels, which "
                f"protocol {protocol.name!r} measures, have latents of {'x'.join(map(str, wanted))}"
            )
    vae = vae_folder.load(str(device))
    scale = vae_folder.scale
    each = max(min(DECODE_BATCH, DECODE_BATCH * _LATENT // (data.height * data.width)), 1)

    @torch.inference_mode()
    def decode(latents: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(
            enabled=True, deterministic=True, allow_tf32=False
        ):  # float32 means float32 here
            parts = [
                vae.decode(part.to(device).float() / scale).sample for part in latents.split(each)
            ]
        return torch.cat(parts)

    identity = {
        "hub": protocol.decoder.hub,
        "revision": protocol.decoder.revision,
        "weights_sha256": found,
        "config_sha256": vae_folder.identity.config_sha256,
        "scale": scale,
        "precision": "float32",
    }
    return decode, identity
