"""The protocols: one row for each named, versioned way of measuring, with everything it fixes.

A new protocol is a row here and nothing else. A change that changes numbers is a new version; the
hash of the definition, which every record holds, shows it. Figures never mix rows of two protocols
unless told to.
"""

from __future__ import annotations

from dataclasses import replace

from dit_core.study.catalogue.data_sets import DATA_SETS
from dit_core.study.catalogue.lookup import row_of
from dit_core.study.catalogue.metrics import family
from dit_core.study.catalogue.protocol import Decoder, Protocol

# The VAE decoders of the released DiT code.
FT_MSE = Decoder(
    hub="stabilityai/sd-vae-ft-mse",
    revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
    weights_sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
)
FT_EMA = Decoder(
    hub="stabilityai/sd-vae-ft-ema", revision="f04b2c4b98319346dad8c65879f680b1997b204a"
)

_DIGITS = Protocol(
    name="digits",
    says="Fréchet distance of 8x8 digits in the feature space of the shipped digit classifier "
    "(never called FID)",
    main="fd_digits",
    metrics=("fd_digits", "fd_digits_infinity", "precision", "recall", "agreement"),
    extractor="ditlab-digits",
    weights_sha256="9e08d1253af1df10f99b080ed4e2673f181fa2a54f1253f778791c37ff17212e",
    layer="64",
    width=64,
    resize="none",
    reference="digits",
    image=(1, 8, 8),
    measures=tuple(name for name, row in DATA_SETS.items() if row.kind == "digits"),
)
_VECTORS = Protocol(
    name="vectors",
    says="Can generated rows be told from real ones: by two classifiers, by a kernel distance, as "
    "copies",
    main="two_sample_accuracy",
    metrics=family("two samples"),
    extractor="none",
    weights_sha256="",
    layer="values",
    width=1,
    resize="none",
    uint8="none",
    reference="rows",
    labels="data",
)
# Section 5 of the paper; its other protocols say what differs. Version 2 draws labels at random, as
# the released sample_ddp.py does; version 1 balanced them, which lowers every distance.
_SCALING = Protocol(
    name="dit-scaling",
    version=2,
    says="FID-50K of the paper's scaling study (section 5): 250 DDPM steps, no guidance, ft-MSE "
    "decoder",
    main="fid",
    metrics=("fid", "fid_infinity", "sfid", "is", "kid", "precision", "recall"),
    extractor="inception-v3-compat",
    weights_sha256="6726825d",
    layer="2048",
    width=2048,
    resize="to 299x299, bilinear as in TensorFlow 1 (no antialias), then (x - 128) / 128",
    reference="imagenet-256",
    samples=50_000,
    labels="drawn",
    sampler="ddpm",
    steps=(250,),
    guidance=1.0,
    decoder=FT_MSE,
    image=(3, 256, 256),
    classes=1000,
)
_WITHOUT_SFID = ("fid", "fid_infinity", "is", "kid", "precision", "recall")
_PIXELS = replace(
    _SCALING,
    name="fid-50k",
    version=1,
    says="FID of 50,000 samples in pixel space against the study's own data set; any sampler "
    "settings",
    metrics=_WITHOUT_SFID,
    reference="data",
    labels="balanced",
    sampler=None,
    steps=(),
    guidance=None,
    decoder=None,
    image=None,
    classes=None,
)
_TABLE_2 = replace(
    _SCALING,
    name="dit-table2",
    says="FID-50K of the paper's table 2: 250 DDPM steps, guidance 1.5 on three channels, ft-EMA "
    "decoder",
    guidance=1.5,
    guidance_channels="first-3",
    decoder=FT_EMA,
)
_TABLE_3 = replace(
    _TABLE_2,
    name="dit-table3",
    says="FID-50K of the paper's table 3: 250 DDPM steps, guidance 1.5, ft-EMA decoder",
    reference="imagenet-512",
    image=(3, 512, 512),
)
_OF_THE_PAPER = (
    _SCALING,
    _TABLE_2,
    replace(
        _SCALING,
        name="dit-fig10",
        says="FID-10K against sampling steps (figure 10): 16 to 1000 DDPM steps, no guidance, "
        "ft-MSE decoder",
        metrics=_WITHOUT_SFID,
        samples=10_000,
        steps=(16, 32, 64, 128, 256, 1000),
    ),
    replace(
        _SCALING,
        name="dit-scaling-512",
        says="FID-50K of 512 px without guidance (the paper's table 4): 250 DDPM steps, ft-MSE "
        "decoder",
        reference="imagenet-512",
        image=(3, 512, 512),
    ),
    replace(
        _TABLE_2,
        name="dit-table2-cfg100",
        says="FID-50K of the paper's table 2: 250 DDPM steps, guidance 1.0, ft-EMA decoder",
        guidance=1.0,
        guidance_channels=None,
    ),
    replace(
        _TABLE_2,
        name="dit-table2-cfg125",
        says="FID-50K of the paper's table 2: 250 DDPM steps, guidance 1.25, ft-EMA decoder",
        guidance=1.25,
    ),
    _TABLE_3,
    replace(
        _TABLE_3,
        name="dit-table3-cfg100",
        says="FID-50K of the paper's table 3: 250 DDPM steps, guidance 1.0, ft-EMA decoder",
        guidance=1.0,
        guidance_channels=None,
    ),
    replace(
        _TABLE_3,
        name="dit-table3-cfg125",
        says="FID-50K of the paper's table 3: 250 DDPM steps, guidance 1.25, ft-EMA decoder",
        guidance=1.25,
    ),
)
_BALANCED = tuple(
    replace(
        row,
        name=f"{row.name}-balanced",
        version=1,
        says=f"{row.says}; labels balanced over the classes",
        labels="balanced",
    )
    for row in _OF_THE_PAPER
)

_ROWS = (
    _DIGITS,
    replace(
        _DIGITS,
        name="digits-completion",
        says="Error of the hidden half of held-out digits, of one completion and of the mean of "
        "all of a digit's",
        main="completion_ratio",
        metrics=(*family("completion"), "fd_digits", "agreement"),
        data="digits-half",
        pixels=True,
    ),
    replace(
        _DIGITS,
        name="digits-coarse",
        says="Error of 8x8 digits made of the 4x4 ones of held-out digits",
        main="detail_ratio",
        metrics=(*family("detail"), "fd_digits", "agreement"),
        data="digits-coarse",
        pixels=True,
    ),
    replace(
        _DIGITS,
        name="digits-obedience",
        says="Ink, slant and width that were asked for against those measured on the samples",
        main="ink_r2",
        metrics=(*family("obedience"), "fd_digits", "agreement"),
        data="digits-measured",
        pixels=True,
    ),
    _VECTORS,
    replace(
        _VECTORS,
        name="fields",
        says="Maps against the real one of their row: power at each scale, place of structures, "
        "error",
        main="power_error",
        metrics=(*family("spectra"), *family("fields")),
        fields=True,
    ),
    _PIXELS,
    replace(
        _PIXELS,
        name="fid-10k",
        says="FID of 10,000 samples in pixel space against the study's own data set; any sampler "
        "settings",
        samples=10_000,
    ),
    *_OF_THE_PAPER,
    *_BALANCED,
)
PROTOCOLS: dict[str, Protocol] = {row.name: row for row in _ROWS}


def protocol_of(name: str) -> Protocol:
    """Return the protocol of that name; raise UserError with the nearest one."""
    return row_of(PROTOCOLS, name, "protocol")
