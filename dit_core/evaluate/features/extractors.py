"""Feature extractors: 8-bit images in, float32 features out, by torch-fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dit_core.errors import DataError, EnvironmentProblem, UserError
from dit_core.evaluate.protocol.assets import INCEPTION, find_asset
from dit_core.evaluate.samples.pixels import from_uint8
from dit_core.records.disk.files import sha256_of
from dit_core.study.catalogue.metrics import metric_of
from dit_core.study.catalogue.protocol import Protocol

# First 7 of the 192 channels of mixed_6/conv in the TensorFlow graph, 17 x 17, channels last: 2023
# numbers.
SPATIAL = "spatial"
SPATIAL_CHANNELS = 7
# The images themselves in [-1, 1], for metrics that hold them against real ones element by element.
PIXELS = "pixels"
VALUES = "values"


@dataclass(frozen=True, slots=True)
class Extractor:
    """A network that turns images into features, and the hash of its weights."""

    name: str
    layers: tuple[str, ...]
    weights_sha256: str
    model: nn.Module
    device: torch.device
    hooked: list[Tensor] = field(default_factory=list)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return {layer: (B, width) float32 on the CPU} of images (B, C, H, W) uint8.

        Raises DataError where images are of another type, or grey ones come to a network of colour
        images.
        """
        if images.dtype != torch.uint8:
            raise DataError(f"images must be uint8, got {str(images.dtype).removeprefix('torch.')}")
        if self.name != "ditlab-digits" and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        self.hooked.clear()
        model: Any = self.model
        # Convolutions on a GPU use TF32 unless told otherwise; an extractor is part of the measure
        # and must not.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            features = model.convert_features_tuple_to_dict(model(images.to(self.device)))
        if self.hooked:
            maps = self.hooked.pop()[:, :SPATIAL_CHANNELS]  # (B, 7, 17, 17)
            features[SPATIAL] = maps.permute(0, 2, 3, 1).flatten(
                1
            )  # (B, 2023), channels last as in TensorFlow
        if PIXELS in self.layers:
            features[PIXELS] = from_uint8(images).flatten(1)
        return {name: value.float().cpu() for name, value in features.items()}


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The extractor of vectors and maps: they are their own features."""

    name: str = "none"
    layers: tuple[str, ...] = (VALUES,)
    weights_sha256: str = ""

    def __call__(self, samples: Tensor) -> dict[str, Tensor]:
        """Return {"values": (B, C H W) float32 on the CPU} of samples (B, C, H, W)."""
        return {VALUES: samples.flatten(1).float().cpu()}


def make_extractor(
    protocol: Protocol, roots: dict[str, str] | None = None, device: torch.device | str = "cpu"
) -> Extractor:
    """Return the protocol's extractor with checked weights.

    `roots` may name the weights file ("inception"). Raises EnvironmentProblem, before anything is
    loaded, where the file is missing or its sha256 is another, and UserError for a protocol that
    has no extractor.
    """
    if protocol.extractor == "none":
        raise UserError(
            f"protocol {protocol.name!r} takes samples as they are: it has no feature extractor"
        )
    layers = layers_of(protocol)
    if protocol.extractor == "ditlab-digits":
        from dit_core.evaluate.digits.classifier import WEIGHTS
        from dit_core.evaluate.digits.extractor import register

        register()
        weights = WEIGHTS
    else:
        weights = find_asset(INCEPTION, roots)
    found = sha256_of(weights)
    if not found.startswith(protocol.weights_sha256):
        raise EnvironmentProblem(
            f"{weights}: sha256 is {found[:16]}…, but protocol {protocol.name!r} is defined with "
            "weights of "
            f"{protocol.weights_sha256[:16]}…; put the right file there"
        )
    return _create(protocol.extractor, layers, weights, found, torch.device(device))


def layers_of(protocol: Protocol) -> tuple[str, ...]:
    """Return the layers that the protocol's metrics need."""
    further = [metric_of(name).layer for name in protocol.metrics]
    layers = [protocol.layer, *(layer for layer in further if layer)]
    if protocol.pixels:
        layers.append(PIXELS)
    return tuple(layers)


def _create(
    name: str, layers: Sequence[str], weights: Path, sha256: str, device: torch.device
) -> Extractor:
    from torch_fidelity.utils import create_feature_extractor

    own = [layer for layer in layers if layer not in (SPATIAL, PIXELS)]
    model = create_feature_extractor(
        name, own, cuda=False, feature_extractor_weights_path=str(weights), verbose=False
    ).to(device)
    extractor = Extractor(name, tuple(layers), sha256, model, device)
    if SPATIAL in layers:
        model.Mixed_6d.branch1x1.register_forward_hook(
            lambda _m, _i, out: extractor.hooked.append(out)
        )
    return extractor
