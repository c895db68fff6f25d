"""What runs need of files that ditlab does not ship, said before anything is spent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
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
from dit_core.study.catalogue.protocol import Decoder, Protocol
from dit_core.study.catalogue.protocols import protocol_of
from dit_core.study.science.data import BUILT_IN
from dit_core.study.science.run import Run

Roots = dict[str, str]


@dataclass(frozen=True, slots=True)
class Lack:
    """A file that is not on this machine: the line that says so, and what it is.

    `kind` is data, file, or download: a file that is downloaded when it is first needed.
    """

    line: str
    kind: str


def missing_files(runs: Iterable[Run]) -> list[str]:
    """Return a line for each file that the runs need and this machine lacks.

    Only names are looked at. The machine that trains may be another one.
    """
    return [lack.line for lack in lacks(runs).values()]


def bring_what_evaluations_need(runs: Iterable[Run]) -> list[str]:
    """Download what can be; return a line for each file without which no evaluation can be made."""
    found = lacks(runs)
    weights = found.get(INCEPTION.key)
    if weights is not None and weights.kind == "download":
        try:
            find_asset(INCEPTION)
            del found[INCEPTION.key]
        except EnvironmentProblem as problem:
            found[INCEPTION.key] = Lack(str(problem), "file")
    return [lack.line for lack in found.values() if lack.kind == "file"]


def lacks(runs: Iterable[Run]) -> dict[str, Lack]:
    """Return what the runs need and this machine lacks, by name: several protocols may share it."""
    found: dict[str, Lack] = {}
    asked: set[tuple[str, str]] = set()
    for run in runs:
        data = run.science.data.name
        roots = run.execution.data_roots
        for name in ("", *(planned.evaluation.protocol for planned in run.evaluations)):
            if (data, name) not in asked:
                asked.add((data, name))
                more = _of_protocol(protocol_of(name), data, roots) if name else _data(data, roots)
                found |= {key: lack for key, lack in more.items() if key not in found}
    return found


def _data(name: str, roots: Roots) -> dict[str, Lack]:
    if name in BUILT_IN:
        return {}
    place = place_of(name, roots)
    if place is None:
        return {name: Lack(no_place(name), "data")}
    if Path(place).exists():
        return {}
    return {name: Lack(f"data {name!r}: nothing at {place} on this machine", "data")}


def _of_protocol(protocol: Protocol, data: str, roots: Roots) -> dict[str, Lack]:
    found = {}
    if protocol.reference not in ("digits", "rows"):  # those two are made of the data
        asset = reference_asset(protocol, data)
        if local_asset(asset, roots) is None:
            line = f"{asset.what} of protocol {protocol.name!r}: not on this machine"
            found[asset.key] = Lack(line, "file")
    if protocol.extractor == "inception-v3-compat" and local_asset(INCEPTION, roots) is None:
        found[INCEPTION.key] = _inception(roots)
    if protocol.decoder is not None:
        found |= _decoder(protocol.decoder, roots)
    return found


def _inception(roots: Roots) -> Lack:
    if os.environ.get("DITLAB_OFFLINE") or INCEPTION.key in roots:
        try:
            find_asset(INCEPTION, roots)
        except EnvironmentProblem as problem:
            return Lack(str(problem), "file")
    return Lack(f"{INCEPTION.what}: not on this machine, would be downloaded", "download")


def _decoder(decoder: Decoder, roots: Roots) -> dict[str, Lack]:
    try:
        place = decoder_place(decoder, roots)
    except EnvironmentProblem as problem:
        return {decoder.hub: Lack(str(problem), "file")}
    if "@" not in place or _in_hub_cache(decoder):
        return {}
    line = f"the decoder {decoder.hub}: not on this machine, would be downloaded"
    return {decoder.hub: Lack(line, "download")}


def _in_hub_cache(decoder: Decoder) -> bool:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = cache / f"models--{decoder.hub.replace('/', '--')}" / "snapshots"
    return (folder / decoder.revision).is_dir()
