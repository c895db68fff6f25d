"""What runs need of files that ditlab does not ship, said before anything is spent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dit_core.data.places import no_place, place_of
from dit_core.errors import EnvironmentProblem
from dit_core.evaluate.protocol.assets import (
    INCEPTION,
    decoder_place,
    find_asset,
    local_asset,
    reference_asset,
)
from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.catalogue.protocols import protocol_of
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.run import Run

Roots = dict[str, str]


def missing_files(runs: Iterable[Run]) -> list[str]:
    """Return a line for each file that the runs need and this machine lacks: data, references,
    weights, decoders.

    Only names are looked at; what can be downloaded is not missing. The machine that trains may be
    another one.
    """
    lines: dict[str, str] = {}  # by the name of what is missing, which several protocols may share
    asked: set[tuple[str, str]] = set()
    for run in runs:
        data = run.science.data.name
        roots = run.execution.data_roots
        for name in ("", *(planned.evaluation.protocol for planned in run.evaluations)):
            if (data, name) not in asked:
                asked.add((data, name))
                found = (
                    _of_protocol(protocol_of(name), data, roots) if name else _of_data(data, roots)
                )
                lines = lines | {key: line for key, line in found.items() if key not in lines}
    return list(lines.values())


def _of_data(name: str, roots: Roots) -> dict[str, str]:
    if name in BUILT_IN:
        return {}
    place = place_of(name, roots)
    if place is None:
        return {name: no_place(name)}
    if Path(place).exists():
        return {}
    return {name: f"data {name!r}: nothing at {place} on this machine"}


def _of_protocol(protocol: Protocol, data: str, roots: Roots) -> dict[str, str]:
    lines = {}
    if protocol.reference not in ("digits", "rows"):  # those two are made of the data
        asset = reference_asset(protocol, data)
        if local_asset(asset, roots) is None:
            lines[asset.key] = f"{asset.what} of protocol {protocol.name!r}: not on this machine"
    offline = bool(os.environ.get("DITLAB_OFFLINE"))
    try:
        if protocol.extractor == "inception-v3-compat" and (offline or INCEPTION.key in roots):
            find_asset(INCEPTION, roots)
        if protocol.decoder is not None:
            decoder_place(protocol.decoder, roots)
    except EnvironmentProblem as problem:
        lines[str(problem)] = str(problem)
    return lines
