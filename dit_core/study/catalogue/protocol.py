"""What a protocol is: one frozen, hashed way of measuring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

# Samples of a protocol that leaves their number open, where a study gives none: one per digit.
DEFAULT_SAMPLES = 1797
# Rounds to the nearest grey level: the rule of the DiT and EDM samplers. ((x + 1) / 2 * 255) would
# truncate and shift every image by half a level; without the clamp, values outside [-1, 1] wrap.
UINT8_RULE = "clamp(127.5 x + 128, 0, 255)"


def _younger(neutral: object) -> dict[str, Any]:
    """Mark a field as younger than version 1: it enters no hash while it equals `neutral`."""
    return {"neutral": neutral}


# A check on what may be measured, which changes no number: part of no hash and of no record.
_CHECK: dict[str, Any] = {"hashed": False}


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A VAE whose decoder makes images of latents."""

    hub: str
    """Name on the Hugging Face hub; its last part names the folder in `execution.data_roots`."""
    revision: str
    """Commit that is fetched where no folder is given."""
    weights_sha256: str = ""
    """Leading digits of the weights file's sha256; empty accepts any file and records its hash."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of measuring. `None` under a setting means that the evaluation chooses it."""

    name: str
    """Name in a study."""
    version: int = 1
    """Increases with every change that changes numbers."""
    says: str
    """What it measures, in one line."""
    main: str
    """The metric that figures show."""
    metrics: tuple[str, ...]
    """Metrics in a record."""
    extractor: Literal["ditlab-digits", "inception-v3-compat", "none"]
    """Feature extractor in torch-fidelity's registry; "none" takes vectors and maps as they are."""
    weights_sha256: str
    """Leading digits of the sha256 of the extractor's weights file."""
    layer: str
    """Layer of the Fréchet distance, KID, precision and recall."""
    width: int
    """Features in that layer: fewer samples than this give no covariance of full rank."""
    resize: str
    """How images come to the extractor's size."""
    uint8: str = UINT8_RULE
    """Rule from network range to 8-bit images."""
    reference: str
    """Name of the reference statistics.

    "data" takes the name of the study's data set, "rows" its real rows.
    """
    samples: int | None = None
    """Number of generated samples; None leaves it to the study."""
    labels: Literal["balanced", "drawn", "data"] = "balanced"
    """Label mode: balanced over the classes, drawn at random, or those of the data's rows.

    Where data have more conditions than labels, the conditions are always those of the rows.
    """
    weights: Literal["ema"] = "ema"
    """Which weights are sampled."""
    sampler: str | None = None
    """Sampler."""
    steps: tuple[int, ...] = ()
    """Allowed sampling steps; empty allows any."""
    guidance: float | None = None
    """Guidance scale."""
    guidance_channels: str | None = None
    """Guided channels."""
    decoder: Decoder | None = None
    """VAE whose decoder makes images of latents; its hashes are in every record."""
    image: tuple[int, int, int] | None = None
    """Shape (C, H, W) of the measured images."""
    is_splits: int = 10
    """Inception Score: number of splits, in sample order (the ADM suite does not shuffle)."""
    neighbours: int = 3
    """Precision and recall: k of the nearest neighbours (Kynkäänniemi et al. 2019)."""
    kid_subsets: int = 100
    """KID: number of subsets."""
    kid_subset_size: int = 1000
    """KID: samples per subset."""
    data: str = field(default="", metadata=_younger(""))
    """The only data set it can be measured on, by name; empty is any that fits."""
    pixels: bool = field(default=False, metadata=_younger(False))
    """Keep the images beside their features, to compare them with real ones pixel by pixel."""
    fields: bool = field(default=False, metadata=_younger(False))
    """Samples are maps, taken as floats, channel by channel."""

    measures: tuple[str, ...] = field(default=(), metadata=_CHECK)
    """Names of the data sets that its reference describes; empty where it describes any.

    It only refuses studies of other data, so it stands outside the hashed definition.
    """
    classes: int | None = field(default=None, metadata=_CHECK)
    """Number of labels of the data that its reference describes; outside the hash like `measures`.

    All that can be checked of data called ImageNet by their owner: their name and place are free.
    """

    @property
    def default_samples(self) -> int:
        """Return the number of samples of an evaluation that gives none."""
        return self.samples or DEFAULT_SAMPLES
