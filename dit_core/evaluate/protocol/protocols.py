"""The protocols there are, by name, and what each allows.

Rows of two never share an axis unless asked.
"""

from __future__ import annotations

from dit_core.errors import UserError, nearest
from dit_core.evaluate.protocol.protocol import Decoder, Protocol
from dit_core.study.catalogue.metrics import family
from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Data

MSE = Decoder(
    hub="stabilityai/sd-vae-ft-mse",
    revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
    weights_sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
)
EMA = Decoder(hub="stabilityai/sd-vae-ft-ema", revision="f04b2c4b98319346dad8c65879f680b1997b204a")


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
_AS_THEY_ARE = {  # vectors and maps, held against the real rows of the data
    "extractor": "none",
    "weights_sha256": "",
    "layer": "values",
    "width": 1,
    "resize": "none",
    "uint8": "none",
    "reference": "rows",
    "labels": "data",
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
        metrics=(*family("completion"), "fd_digits", "agreement"),
        data="digits-half",
        pixels=True,
    ),
    "digits-coarse": Protocol(
        **_DIGITS,
        name="digits-coarse",
        says="Error of 8x8 digits made of the 4x4 ones of held-out digits",
        main="detail_ratio",
        metrics=(*family("detail"), "fd_digits", "agreement"),
        data="digits-coarse",
        pixels=True,
    ),
    "digits-obedience": Protocol(
        **_DIGITS,
        name="digits-obedience",
        says="Ink, slant and width that were asked for against those measured on the samples",
        main="ink_r2",
        metrics=(*family("obedience"), "fd_digits", "agreement"),
        data="digits-measured",
        pixels=True,
    ),
    "vectors": Protocol(
        **_AS_THEY_ARE,
        name="vectors",
        says="Can generated rows be told from real ones: by two classifiers, by a kernel distance, as copies",
        main="two_sample_accuracy",
        metrics=family("two samples"),
    ),
    "fields": Protocol(
        **_AS_THEY_ARE,
        name="fields",
        says="Maps against the real one of their row: power at each scale, place of structures, error",
        main="power_error",
        metrics=(*family("spectra"), *family("fields")),
        fields=True,
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
    """Return the protocol of that name; raise UserError naming those there are and the nearest
    one.
    """
    if name not in PROTOCOLS:
        raise UserError(
            f"unknown protocol {name!r}{nearest(name, PROTOCOLS)}; protocols are "
            f"{', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]


def problems(
    protocol: Protocol, data: Data, evaluation: Evaluation, few: bool = False
) -> list[str]:
    """Return what keeps an evaluation from being measured under a protocol, one line each; empty
    where nothing does.

    `few` allows fewer samples than the protocol or a covariance wants, which a record then carries
    as a label.
    """
    sampling = evaluation.sampling
    found = []
    fixed = {
        "samples": (evaluation.samples, protocol.samples),
        "sampler": (sampling.sampler, protocol.sampler),
        "guidance": (sampling.guidance, protocol.guidance),
        "guidance_channels": (sampling.guidance_channels, protocol.guidance_channels),
    }
    for key, (given, wanted) in fixed.items():
        if (
            wanted is not None
            and given != wanted
            and not (key == "samples" and few and given < wanted)
        ):
            found.append(
                f"{key} is {given!r}, but protocol {protocol.name!r} is defined with {wanted!r}"
            )
    if protocol.steps and sampling.steps not in protocol.steps:
        allowed = ", ".join(map(str, protocol.steps))
        found.append(
            f"steps is {sampling.steps}, but protocol {protocol.name!r} is defined with {allowed}"
        )
    if evaluation.samples <= protocol.width and not few:
        found.append(
            f"samples is {evaluation.samples}, but a covariance of {protocol.width} features needs "
            "more than "
            f"{protocol.width}; take more, or use `ditlab evaluate --few`, which labels the row"
        )
    if protocol.data and data.name != protocol.data:
        found.append(
            f"data is {data.name!r}, but protocol {protocol.name!r} measures {protocol.data!r} "
            "alone"
        )
    return found + _samples_fit(protocol, data)


def _samples_fit(protocol: Protocol, data: Data) -> list[str]:
    """Return what keeps a protocol from measuring samples of these data: vectors, latents, images
    of another shape.
    """
    found = []
    shape = (data.channels, data.height, data.width)
    if data.vectors and (protocol.extractor != "none" or protocol.fields):
        fitting = ", ".join(
            n for n, other in PROTOCOLS.items() if other.extractor == "none" and not other.fields
        )
        found.append(
            f"samples are vectors, but protocol {protocol.name!r} measures images; for vectors: "
            f"{fitting}"
        )
    elif protocol.fields and data.kind != "latents":
        if not data.conditions:
            found.append(
                f"data {data.name!r} have no condition but a label, and protocol {protocol.name!r} "
                "holds each map "
                "against the real one of its condition; declare `vector`, `map_…` or `context_…`"
            )
    elif protocol.extractor == "none" and not protocol.fields and not data.vectors:
        found.append(
            f"samples are images of {shape}, but protocol {protocol.name!r} measures vectors"
        )
    elif protocol.decoder and data.kind != "latents":
        found.append(f"data.kind is {data.kind!r}, but protocol {protocol.name!r} decodes latents")
    elif not protocol.decoder and data.kind == "latents":
        found.append(
            f"data are latents, but protocol {protocol.name!r} measures pixels; it names no decoder"
        )
    elif not protocol.decoder and protocol.image and shape != protocol.image:
        found.append(
            f"samples are {shape}, but protocol {protocol.name!r} measures images of "
            f"{protocol.image}"
        )
    return found
