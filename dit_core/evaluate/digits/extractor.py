"""The digit classifier as a torch-fidelity extractor: the same road as Inception's."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from dit_core.evaluate.digits.classifier import CLASSES, WEIGHTS, WIDTH, load_classifier

NAME = "ditlab-digits"


class DigitsExtractor(FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity has no types
    """Features "64" and "logits" (10) of images (B, 1 or 3, 8, 8) uint8.

    Of three channels the mean is taken.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | None = None,
        **_: object,
    ) -> None:
        super().__init__(name, features_list)
        self.classifier = load_classifier(Path(feature_extractor_weights_path or WEIGHTS))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Return the names of the layers."""
        return str(WIDTH), "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Return the layer a metric of torch-fidelity uses."""
        return "logits" if metric == "isc" else str(WIDTH)

    @staticmethod
    def can_be_compiled() -> bool:
        """Return that compiling would not pay for so small a network."""
        return False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the requested layers, (B, width) float32, of images (B, 1 or 3, 8, 8) uint8."""
        if images.dim() != 4 or images.shape[1] not in (1, 3) or images.shape[2:] != (8, 8):
            raise ValueError(f"digits are (B, 1 or 3, 8, 8), got {tuple(images.shape)}")
        grey = images if images.shape[1] == 1 else images.float().mean(dim=1, keepdim=True)
        features = self.classifier.features(grey)
        layers = {str(WIDTH): features, "logits": self.classifier.head(features)}
        assert layers["logits"].shape[1] == CLASSES
        return tuple(layers[name] for name in self.features_list)


def register() -> None:
    """Register the extractor, once per process: the registry refuses a second time."""
    if NAME not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(NAME, DigitsExtractor)
