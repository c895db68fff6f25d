"""The definition of a protocol as records hold it, and its hash."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields
from typing import Any

from dit_core.study.catalogue.protocol import Protocol
from dit_core.study.science.ids import ENCODER


def definition_of(protocol: Protocol) -> dict[str, Any]:
    """Return the fields that fix numbers; a younger one at its neutral value is left out."""
    unhashed = [f.name for f in fields(protocol) if not f.metadata.get("hashed", True)]
    values = {name: value for name, value in asdict(protocol).items() if name not in unhashed}
    younger = {f.name: f.metadata["neutral"] for f in fields(protocol) if "neutral" in f.metadata}
    written = [name for name in values if name not in younger or values[name] != younger[name]]
    return {name: _plain(values[name]) for name in written}


def definition_sha256(protocol: Protocol) -> str:
    """Return the sha256 of the definition; another hash is another way of measuring."""
    text = ENCODER.encode(definition_of(protocol))
    return hashlib.sha256(f"ditlab-protocol-1\n{text}".encode()).hexdigest()


def recorded(protocol: Protocol) -> dict[str, Any]:
    """Return the definition with its hash, as a record holds it."""
    return {**definition_of(protocol), "definition_sha256": definition_sha256(protocol)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
