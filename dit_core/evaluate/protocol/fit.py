"""Whether an evaluation fits its protocol, and the data what the protocol measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.catalogue.protocols import PROTOCOLS
from dit_core.study.science.data import Data
from dit_core.study.science.sampling import Evaluation


class Misfit(NamedTuple):
    """Why an evaluation cannot be measured under its protocol."""

    setting: str
    """Key of the evaluation to blame: samples, sampler, steps, guidance, … or protocol."""
    text: str
    """What is wrong, in one line for the user."""


def misfits(
    protocol: Protocol, data: Data, evaluation: Evaluation, few: bool = False
) -> list[Misfit]:
    """Return what keeps an evaluation from being measured under a protocol; empty if nothing does.

    `few` allows fewer samples than the protocol or a covariance needs; the record is then marked.
    """
    wrong = _wrong_data(protocol, data) or _other_data(protocol, data)
    return [
        *_fixed_settings(protocol, evaluation, few),
        *_steps_and_samples(protocol, evaluation, few),
        *([Misfit("protocol", wrong)] if wrong else []),
    ]


def _fixed_settings(protocol: Protocol, evaluation: Evaluation, few: bool) -> Iterator[Misfit]:
    """Yield each setting that the protocol fixes to another value."""
    sampling = evaluation.sampling
    fixed = {
        "samples": (evaluation.samples, protocol.samples),
        "sampler": (sampling.sampler, protocol.sampler),
        "guidance": (sampling.guidance, protocol.guidance),
        "guidance_channels": (sampling.guidance_channels, protocol.guidance_channels),
    }
    if few and protocol.samples and evaluation.samples < protocol.samples:
        del fixed["samples"]
    for key, (given, wanted) in fixed.items():
        if wanted is not None and given != wanted:
            text = f"{key} is {given!r}, but protocol {protocol.name!r} is defined with {wanted!r}"
            yield Misfit(key, text)


def _steps_and_samples(protocol: Protocol, evaluation: Evaluation, few: bool) -> Iterator[Misfit]:
    """Yield steps outside the protocol's list, and too few samples for a covariance."""
    steps = evaluation.sampling.steps
    if protocol.steps and steps not in protocol.steps:
        allowed = ", ".join(map(str, protocol.steps))
        text = f"steps is {steps}, but protocol {protocol.name!r} is defined with {allowed}"
        yield Misfit("steps", text)
    if evaluation.samples <= protocol.width and not few:
        yield Misfit(
            "samples",
            f"samples is {evaluation.samples}, but a covariance of {protocol.width} features needs "
            f"more than {protocol.width}; take more, or use `ditlab evaluate --few`, which labels "
            "the row",
        )


def _other_data(protocol: Protocol, data: Data) -> str:
    """Return why the protocol's reference is not of these data; empty where it may be."""
    name = f"protocol {protocol.name!r}"
    if protocol.data and data.name != protocol.data:
        return f"data is {data.name!r}, but {name} measures {protocol.data!r} alone"
    if protocol.measures and data.name not in protocol.measures:
        own = ", ".join(row.name for row in PROTOCOLS.values() if row.reference == "data")
        return (
            f"data is {data.name!r}, but {name} measures {', '.join(protocol.measures)} alone: its "
            f"reference is {protocol.reference!r}; protocols that compare with your own data: {own}"
        )
    if protocol.classes not in (None, data.classes):
        return (
            f"data has {data.classes} classes, but {name} compares with "
            f"{protocol.reference!r}, which has {protocol.classes}"
        )
    return ""


def _wrong_data(protocol: Protocol, data: Data) -> str:
    """Return why samples of these data are not what the protocol measures; empty if they are."""
    if protocol.extractor == "none":
        return _wrong_maps(protocol, data) if protocol.fields else _wrong_rows(protocol, data)
    name = f"protocol {protocol.name!r}"
    shape = (data.channels, data.height, data.width)
    if data.vectors:
        return _for_vectors(protocol)
    if protocol.decoder and data.kind != "latents":
        return f"data.kind is {data.kind!r}, but {name} decodes latents"
    if protocol.decoder:
        return ""
    if data.kind == "latents":
        return f"data are latents, but {name} measures pixels; it names no decoder"
    if protocol.image and shape != protocol.image:
        return f"samples are {shape}, but {name} measures images of {protocol.image}"
    return ""


def _wrong_maps(protocol: Protocol, data: Data) -> str:
    if data.vectors:
        return _for_vectors(protocol)
    if data.kind == "latents":
        return (
            f"data are latents, but protocol {protocol.name!r} measures pixels; it names no decoder"
        )
    if data.conditions:
        return ""
    return (
        f"data {data.name!r} have no condition but a label, and protocol {protocol.name!r} "
        "compares each map with the real one of its condition; declare `vector`, `map_…` or "
        "`context_…`"
    )


def _wrong_rows(protocol: Protocol, data: Data) -> str:
    if data.vectors:
        return ""
    shape = (data.channels, data.height, data.width)
    return f"samples are images of {shape}, but protocol {protocol.name!r} measures vectors"


def _for_vectors(protocol: Protocol) -> str:
    rows = [row for row in PROTOCOLS.values() if row.extractor == "none" and not row.fields]
    fitting = ", ".join(row.name for row in rows)
    return (
        f"samples are vectors, but protocol {protocol.name!r} measures images; for vectors: "
        f"{fitting}"
    )
