"""What a protocol is: one frozen, hashed way of measuring.

A change of any field that changes numbers is a new version; `definition_sha256` shows it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import Field

from dit_core.study.science.ids import canonical, canonical_json
from dit_core.study.science.science import Frozen, Positive, neutral

# Rounds to the nearest grey level: the rule of the DiT and EDM samplers. ((x + 1) / 2 * 255) would
# truncate and shift every image by half a level; without the clamp values outside [-1, 1] would
# wrap around.
UINT8_RULE = "clamp(127.5 x + 128, 0, 255)"


class Decoder(Frozen):
    """A VAE whose decoder makes images of latents."""

    hub: str
    """Name on the Hugging Face hub; its last part names the folder in `execution.data_roots`."""
    revision: str
    """Commit that is fetched where no folder is given."""
    weights_sha256: str = ""
    """Leading digits of the sha256 of diffusion_pytorch_model.safetensors; empty accepts any and
    records it.
    """


class Protocol(Frozen):
    """One way of measuring. `None` under a setting means that the evaluation chooses it."""

    name: str
    """Name by which a study asks for it."""
    version: Positive = 1
    """Raised with every change that changes numbers."""
    says: str
    """What it measures, in one line."""
    main: str
    """The metric that figures show."""
    metrics: tuple[str, ...]
    """Metrics in a record."""
    extractor: Literal["ditlab-digits", "inception-v3-compat", "none"]
    """Feature extractor, as registered with torch-fidelity; "none" takes vectors and maps as they
    are.
    """
    weights_sha256: str
    """Leading digits of the sha256 of the extractor's weights file."""
    layer: str
    """Layer of the Fréchet distance, KID, precision and recall."""
    width: Positive
    """Features in that layer: fewer samples than this give no covariance of full rank."""
    resize: str
    """How images come to the extractor's size."""
    uint8: str = UINT8_RULE
    """Rule from network range to 8-bit images."""
    reference: str
    """Name of the reference statistics; "data" takes the name of the study's data set, "rows" its
    real rows.
    """
    samples: Positive | None = None
    """Number of generated samples."""
    labels: Literal["balanced", "drawn", "data"] = "balanced"
    """Label mode: balanced over the classes, drawn at random, or those of the data's rows.

    Data with more conditions than labels are always asked for those of their rows."""
    weights: Literal["ema"] = "ema"
    """Which weights are sampled."""
    sampler: str | None = None
    """Sampler."""
    steps: tuple[Positive, ...] = ()
    """Allowed sampling steps; empty allows any."""
    guidance: float | None = None
    """Guidance scale."""
    guidance_channels: str | None = None
    """Guided channels."""
    decoder: Decoder | None = None
    """VAE whose decoder makes images of latents; its hashes are in every record."""
    image: tuple[Positive, Positive, Positive] | None = None
    """Shape (C, H, W) of the measured images."""
    is_splits: Positive = 10
    """Inception Score: number of splits, in the order of the samples (the ADM suite does not
    shuffle).
    """
    neighbours: Positive = 3
    """Precision and recall: k of the nearest neighbours (Kynkäänniemi et al. 2019)."""
    kid_subsets: Positive = 100
    """KID: number of subsets."""
    kid_subset_size: Positive = 1000
    """KID: samples per subset."""
    data: str = Field("", json_schema_extra=neutral(""))
    """The only data set it can be measured on, by name; empty is any that fits."""
    pixels: bool = Field(False, json_schema_extra=neutral(False))
    """Keep the images besides their features, to hold them against real ones element by element."""
    fields: bool = Field(False, json_schema_extra=neutral(False))
    """Samples are maps, taken as floats, channel by channel."""

    @property
    def definition_sha256(self) -> str:
        """Return the sha256 of the canonical definition."""
        return hashlib.sha256(f"ditlab-protocol-1\n{canonical_json(self)}".encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return the definition as plain values with its hash, as it stands in a record."""
        return {**canonical(self), "definition_sha256": self.definition_sha256}
