"""Samples of a run as 8-bit images, batch by batch; which batch holds which image never depends on who works on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dit_core.errors import DataError
from dit_core.evaluate.labels import labels_of
from dit_core.evaluate.noise import noise_source
from dit_core.evaluate.pixels import to_uint8
from dit_core.study.sampling import Evaluation
from dit_core.study.science import Science


@dataclass(frozen=True, slots=True)
class Generator:
    """All that a sample is a function of, besides its number."""

    model: nn.Module
    science: Science
    evaluation: Evaluation
    labels: str
    device: torch.device
    decode: Callable[[Tensor], Tensor] | None = None

    @torch.inference_mode()
    def samples(self, indices: Sequence[int]) -> Tensor:
        """Return samples (B, C, H, W) float32 as the network made them, of the images `indices`."""
        from dit_core.diffusion.samplers import sample

        data, evaluation = self.science.data, self.evaluation
        y = labels_of(indices, data.classes, self.labels, evaluation.seed).to(self.device)
        noise = noise_source(evaluation.seed, indices, (data.channels, data.height, data.width), self.device)
        return sample(self.model, self.science.objective, evaluation.sampling, y, noise)

    @torch.inference_mode()
    def images(self, indices: Sequence[int]) -> Tensor:
        """Return the images, (B, C, H, W) uint8; raise DataError naming the first that is not finite or all alike."""
        x = self.samples(indices)
        if self.decode is not None:
            to_uint8(x, indices)  # a broken latent is named before the decoder smears it
            x = self.decode(x)
        images = to_uint8(x, indices)
        if len(images) > 1 and bool((images == images[0]).all()):
            raise DataError(f"samples {indices[0]} to {indices[-1]} are all the same image: the model collapsed")
        return images


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
    model.reset_buffers()
    return model.to(device).requires_grad_(False).eval()
