"""Samples of a run as 8-bit images, vectors or maps, whoever makes which batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dit_core.errors import DataError
from dit_core.evaluate.samples.labels import labels_of
from dit_core.evaluate.samples.noise import noise_source
from dit_core.evaluate.samples.pixels import check_finite, to_uint8
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.model import conditions
from dit_core.model.conditions import Given
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science


@dataclass(frozen=True, slots=True)
class Generator:
    """All that a sample is a function of, besides its number."""

    model: nn.Module
    science: Science
    evaluation: Evaluation
    labels: Literal["balanced", "drawn", "data"]
    device: torch.device
    decode: Callable[[Tensor], Tensor] | None = None
    rows: Rows | None = None

    def asked(self, indices: Sequence[int]) -> Given:
        """Return the conditions of the samples `indices`: those of their rows, or labels."""
        if self.rows is not None:
            return self.rows.conditions(indices)
        assert self.labels != "data"
        return labels_of(indices, self.science.data.classes, self.labels, self.evaluation.seed)

    def asked_labels(self, indices: Sequence[int]) -> Tensor:
        """Return the class each sample is asked for, (B,) int64."""
        return (
            self.rows.labels(indices)
            if self.rows is not None
            else conditions.labels_of(self.asked(indices))
        )

    @torch.inference_mode()
    def samples(self, indices: Sequence[int]) -> Tensor:
        """Return samples (B, C, H, W) float32 as the network made them, of the images `indices`."""
        from dit_core.diffusion.samplers import sample

        data = self.science.data
        evaluation = self.evaluation
        y = conditions.to_device(self.asked(indices), self.device)
        noise = noise_source(
            evaluation.seed, indices, (data.channels, data.height, data.width), self.device
        )
        return sample(self.model, self.science.objective, evaluation.sampling, y, noise)

    @torch.inference_mode()
    def images(self, indices: Sequence[int]) -> Tensor:
        """Return the images, (B, C, H, W) uint8; DataError names the first bad one."""
        x = self.samples(indices)
        if self.decode is not None:
            to_uint8(x, indices)  # a broken latent is named before the decoder smears it
            x = self.decode(x)
        images = to_uint8(x, indices)
        _check_variety(images, indices, "image")
        return images

    def values(self, indices: Sequence[int]) -> Tensor:
        """Return vectors or maps (B, C, H, W) float32; raise DataError as `images` does."""
        x = self.samples(indices)
        check_finite(x, indices)
        _check_variety(x, indices, "map" if x.shape[2] > 1 else "vector")
        return x


def _check_variety(samples: Tensor, indices: Sequence[int], what: str) -> None:
    if len(samples) > 1 and bool((samples == samples[0]).all()):
        raise DataError(
            f"samples {indices[0]} to {indices[-1]} are all the same {what}: the model collapsed"
        )


def network_of(science: Science, weights: dict[str, Tensor], device: torch.device) -> nn.Module:
    """Return the network of `science` with the given weights, on `device`, in evaluation mode."""
    from dit_core.model.build import build_model

    with torch.device("meta"):
        model = build_model(science)
    model.to_empty(device="cpu")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"weights are of another network than the run's: {str(error).splitlines()[1].strip()}"
        ) from error
    model.reset_buffers()  # type: ignore[operator]  # a method of both families of networks
    return model.to(device).requires_grad_(False).eval()
