"""Protocols: named, versioned, hashed ways of measuring. Rows of two protocols never share an axis unless asked.

A protocol is frozen. A change of any field that changes numbers is a new version; `definition_sha256` shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from dit_core.errors import StudyError, UserError, nearest
from dit_core.evaluate.metric_names import COMPLETION, DETAIL, OBEDIENCE, TWO_SAMPLE
from dit_core.study.ids import canonical, canonical_json
from dit_core.study.run import Run
from dit_core.study.sampling import Evaluation, Sampling
from dit_core.study.science import Data, Frozen, Positive, neutral

# Rounds to the nearest grey level: the rule of the DiT and EDM samplers. ((x + 1) / 2 * 255) would truncate and shift
# every image by half a level; without the clamp values outside [-1, 1] would wrap around.
UINT8_RULE = "clamp(127.5 x + 128, 0, 255)"


class Decoder(Frozen):
    """A VAE whose decoder makes images of latents."""

    hub: str
    """Name on the Hugging Face hub; its last part names the folder in `execution.data_roots`."""
    revision: str
    """Commit that is fetched where no folder is given."""
    weights_sha256: str = ""
    """Leading digits of the sha256 of diffusion_pytorch_model.safetensors; empty accepts any and records it."""


MSE = Decoder(
    hub="stabilityai/sd-vae-ft-mse",
    revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
    weights_sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
)
EMA = Decoder(hub="stabilityai/sd-vae-ft-ema", revision="f04b2c4b98319346dad8c65879f680b1997b204a")


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
    """Feature extractor, as registered with torch-fidelity; "none" takes vectors as they are."""
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
    """Name of the reference statistics; "data" takes the name of the study's data set, "rows" its real rows."""
    samples: Positive | None = None
    """Number of generated samples."""
    labels: Literal["balanced", "drawn", "data"] = "balanced"
    """Label mode: balanced over the classes, drawn at random, or those of the data's rows. Data with more conditions
    than labels are always asked for those of their rows."""
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
    """Inception Score: number of splits, in the order of the samples (the ADM suite does not shuffle)."""
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

    @property
    def definition_sha256(self) -> str:
        """Return the sha256 of the canonical definition."""
        return hashlib.sha256(f"ditlab-protocol-1\n{canonical_json(self)}".encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return the definition as plain values with its hash, as it stands in a record."""
        return {**canonical(self), "definition_sha256": self.definition_sha256}


_INCEPTION = {
    "extractor": "inception-v3-compat",
    "weights_sha256": "6726825d",
    "layer": "2048",
    "width": 2048,
    "resize": "to 299x299, bilinear as in TensorFlow 1 (no antialias), then (x - 128) / 128",
    "main": "fid",
    "image": (3, 256, 256),
    "reference": "imagenet-256",
}
_DIGITS = {
    "extractor": "ditlab-digits",
    "weights_sha256": "9e08d1253af1df10f99b080ed4e2673f181fa2a54f1253f778791c37ff17212e",
    "layer": "64",
    "width": 64,
    "resize": "none",
    "reference": "digits",
    "image": (1, 8, 8),
}
_AT_512 = {**_INCEPTION, "image": (3, 512, 512), "reference": "imagenet-512"}
_ALL = ("fid", "fid_infinity", "sfid", "is", "kid", "precision", "recall")

PROTOCOLS: dict[str, Protocol] = {
    **{
        name: Protocol(
            **{**_INCEPTION, "image": None, "reference": "data"},
            name=name,
            says=f"FID of {count:,} samples in pixel space against the study's own data set; any sampler settings",
            metrics=("fid", "fid_infinity", "is", "kid", "precision", "recall"),
            samples=count,
        )
        for name, count in (("fid-50k", 50_000), ("fid-10k", 10_000))
    },
    "digits": Protocol(
        **_DIGITS,
        name="digits",
        says="Fréchet distance of 8x8 digits in the feature space of the shipped digit classifier (never called FID)",
        main="fd_digits",
        metrics=("fd_digits", "fd_digits_infinity", "precision", "recall", "agreement"),
    ),
    "digits-completion": Protocol(
        **_DIGITS,
        name="digits-completion",
        says="Error of the hidden half of held-out digits, of one completion and of the mean of all of a digit's",
        main="completion_ratio",
        metrics=(*COMPLETION, "fd_digits", "agreement"),
        data="digits-half",
        pixels=True,
    ),
    "digits-coarse": Protocol(
        **_DIGITS,
        name="digits-coarse",
        says="Error of 8x8 digits made of the 4x4 ones of held-out digits",
        main="detail_ratio",
        metrics=(*DETAIL, "fd_digits", "agreement"),
        data="digits-coarse",
        pixels=True,
    ),
    "digits-obedience": Protocol(
        **_DIGITS,
        name="digits-obedience",
        says="Ink, slant and width that were asked for against those measured on the samples",
        main="ink_r2",
        metrics=(*OBEDIENCE, "fd_digits", "agreement"),
        data="digits-measured",
        pixels=True,
    ),
    "vectors": Protocol(
        name="vectors",
        says="Can generated rows be told from real ones: by two classifiers, by a kernel distance, as copies",
        main="two_sample_accuracy",
        metrics=TWO_SAMPLE,
        extractor="none",
        weights_sha256="",
        layer="values",
        width=1,
        resize="none",
        uint8="none",
        reference="rows",
        labels="data",
    ),
    "dit-scaling": Protocol(
        **_INCEPTION,
        name="dit-scaling",
        says="FID-50K of the paper's scaling study (section 5): 250 DDPM steps, no guidance, ft-MSE decoder",
        metrics=_ALL,
        samples=50_000,
        sampler="ddpm",
        steps=(250,),
        guidance=1.0,
        decoder=MSE,
    ),
    "dit-table2": Protocol(
        **_INCEPTION,
        name="dit-table2",
        says="FID-50K of the paper's table 2: 250 DDPM steps, guidance 1.5 on three channels, ft-EMA decoder",
        metrics=_ALL,
        samples=50_000,
        sampler="ddpm",
        steps=(250,),
        guidance=1.5,
        guidance_channels="first-3",
        decoder=EMA,
    ),
    "dit-fig10": Protocol(
        **_INCEPTION,
        name="dit-fig10",
        says="FID-10K against sampling steps (figure 10): 16 to 1000 DDPM steps, no guidance, ft-MSE decoder",
        metrics=("fid", "fid_infinity", "is", "kid", "precision", "recall"),
        samples=10_000,
        sampler="ddpm",
        steps=(16, 32, 64, 128, 256, 1000),
        guidance=1.0,
        decoder=MSE,
    ),
    "dit-scaling-512": Protocol(
        **_AT_512,
        name="dit-scaling-512",
        says="FID-50K of 512 px without guidance (the paper's table 4): 250 DDPM steps, ft-MSE decoder",
        metrics=_ALL,
        samples=50_000,
        sampler="ddpm",
        steps=(250,),
        guidance=1.0,
        decoder=MSE,
    ),
    **{
        name: Protocol(
            **size,
            name=name,
            says=f"FID-50K of the paper's table {name[9]}: 250 DDPM steps, guidance {scale}, ft-EMA decoder",
            metrics=_ALL,
            samples=50_000,
            sampler="ddpm",
            steps=(250,),
            guidance=scale,
            guidance_channels="first-3" if scale != 1.0 else None,
            decoder=EMA,
        )
        for name, size, scale in (
            ("dit-table2-cfg100", _INCEPTION, 1.0),
            ("dit-table2-cfg125", _INCEPTION, 1.25),
            ("dit-table3", _AT_512, 1.5),
            ("dit-table3-cfg100", _AT_512, 1.0),
            ("dit-table3-cfg125", _AT_512, 1.25),
        )
    },
}


def protocol_of(name: str) -> Protocol:
    """Return the protocol of that name; raise UserError naming those there are and the nearest one."""
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}{nearest(name, PROTOCOLS)}; protocols are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def problems(protocol: Protocol, data: Data, evaluation: Evaluation, few: bool = False) -> list[str]:
    """Return what keeps an evaluation from being measured under a protocol, one line each; empty where nothing does.

    `few` allows fewer samples than the protocol or a covariance wants, which a record then carries as a label.
    """
    sampling, found = evaluation.sampling, []
    fixed = {
        "samples": (evaluation.samples, protocol.samples),
        "sampler": (sampling.sampler, protocol.sampler),
        "guidance": (sampling.guidance, protocol.guidance),
        "guidance_channels": (sampling.guidance_channels, protocol.guidance_channels),
    }
    for key, (given, wanted) in fixed.items():
        if wanted is not None and given != wanted and not (key == "samples" and few and given < wanted):
            found.append(f"{key} is {given!r}, but protocol {protocol.name!r} is defined with {wanted!r}")
    if protocol.steps and sampling.steps not in protocol.steps:
        allowed = ", ".join(map(str, protocol.steps))
        found.append(f"steps is {sampling.steps}, but protocol {protocol.name!r} is defined with {allowed}")
    if evaluation.samples <= protocol.width and not few:
        found.append(
            f"samples is {evaluation.samples}, but a covariance of {protocol.width} features needs more than "
            f"{protocol.width}; take more, or use `ditlab evaluate --few`, which labels the row"
        )
    if protocol.data and data.name != protocol.data:
        found.append(f"data is {data.name!r}, but protocol {protocol.name!r} measures {protocol.data!r} alone")
    return found + _samples_fit(protocol, data)


def _samples_fit(protocol: Protocol, data: Data) -> list[str]:
    """Return what keeps a protocol from measuring samples of these data: vectors, latents, images of another shape."""
    found = []
    shape = (data.channels, data.height, data.width)
    if data.vectors and protocol.extractor != "none":
        fitting = ", ".join(name for name, other in PROTOCOLS.items() if other.extractor == "none")
        found.append(f"samples are vectors, but protocol {protocol.name!r} measures images; for vectors: {fitting}")
    elif protocol.extractor == "none" and not data.vectors:
        found.append(f"samples are images of {shape}, but protocol {protocol.name!r} measures vectors")
    elif protocol.decoder and data.kind != "latents":
        found.append(f"data.kind is {data.kind!r}, but protocol {protocol.name!r} decodes latents")
    elif not protocol.decoder and data.kind == "latents":
        found.append(f"data are latents, but protocol {protocol.name!r} measures pixels; it names no decoder")
    elif not protocol.decoder and protocol.image and shape != protocol.image:
        found.append(f"samples are {shape}, but protocol {protocol.name!r} measures images of {protocol.image}")
    return found


def check_evaluations(runs: Iterable[Run], few: bool = False) -> None:
    """Raise StudyError naming every evaluation of a study that its protocol does not allow, before anything is spent.

    What all runs share is looked at once. `few` allows fewer samples, as in `problems`.
    """
    seen: set[tuple[Data, str, int, Sampling]] = set()
    found: dict[str, str] = {}
    for run in runs:
        for planned in run.evaluations:
            evaluation, data = planned.evaluation, run.science.data
            key = (data, evaluation.protocol, evaluation.samples, evaluation.sampling)
            if key in seen:
                continue
            seen.add(key)
            for line in problems(protocol_of(evaluation.protocol), data, evaluation, few):
                found.setdefault(line, run.name)
    if found:
        raise StudyError(f"evaluate: {line} (run {name or 'base'})" for line, name in found.items())
