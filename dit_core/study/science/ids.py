"""Identity: the canonical form of a science or an evaluation, and its hash.

An id is the first 16 hexadecimal digits of the sha256.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from dit_core.study.science.sampling import Evaluation
from dit_core.study.science.science import Science

ID_VERSION = 1
ID_LENGTH = 16
ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
)


def canonical(record: BaseModel) -> dict[str, Any]:
    """Return the record as plain values, every field written out.

    Neutral younger fields are left out.
    """
    values = record.__dict__
    return {name: _plain(values[name]) for name in _written(record)}


def _written(record: BaseModel) -> list[str]:
    """Return the fields that enter the identity: not the younger ones that do nothing."""
    names, neutral = _names(type(record))
    return [n for n in names if getattr(record, n) != neutral[n]] if neutral else names


class _Always:
    """Differs from every value."""


@lru_cache(maxsize=100)
def _names(kind: type[BaseModel]) -> tuple[list[str], dict[str, Any]]:
    """Return (all fields, name to neutral value).

    The latter is empty where no field is younger than id version 1.
    """
    extras = {name: info.json_schema_extra for name, info in kind.model_fields.items()}
    neutral = {
        n: e["neutral"] if isinstance(e, dict) and "neutral" in e else _Always
        for n, e in extras.items()
    }
    return list(extras), {} if all(value is _Always for value in neutral.values()) else neutral


def canonical_json(record: BaseModel) -> str:
    """Return the canonical form as JSON.

    Keys are sorted, there are no blanks, and floats are in their shortest exact form.
    """
    return ENCODER.encode(canonical(record))


def run_id(science: Science) -> str:
    """Return the identity of a training: 16 hex digits of sha256(id version, canonical science)."""
    return full_hash(science)[:ID_LENGTH]


def eval_id(run: str, evaluation: Evaluation) -> str:
    """Return the identity of an evaluation of run `run`: 16 hex digits."""
    text = f"ditlab-eval-{ID_VERSION}\n{run}\n{canonical_json(evaluation)}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def full_hash(science: Science) -> str:
    """Return the whole sha256 of the canonical science.

    A run folder stores it to catch a collision of ids.
    """
    return hash_of_plain(canonical(science))


def hash_of_plain(science: dict[str, Any]) -> str:
    """Return the whole sha256 of a science given as plain values, as a run record holds it.

    The values must be in canonical form already (`canonical`). The id version is part of the hash,
    so that a record of another version never matches.
    """
    return _run_hash(ENCODER.encode(science))


def _run_hash(text: str) -> str:
    return hashlib.sha256(f"ditlab-run-{ID_VERSION}\n{text}".encode()).hexdigest()


class Hasher:
    """The same ids for many runs that share sections: the JSON of each section object is made once.

    Sections are told apart by `id()`; the hasher keeps them alive so that no id is used twice.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._kept: list[BaseModel] = []

    def full_hash(self, science: Science) -> str:
        """Return what `full_hash(science)` returns."""
        parts = [
            f'"{name}":{self._text(getattr(science, name))}' for name in sorted(_written(science))
        ]
        text = "{" + ",".join(parts) + "}"
        return _run_hash(text)

    def run_id(self, full: str) -> str:
        """Return the run id that belongs to a full hash."""
        return full[:ID_LENGTH]

    def eval_id(self, run: str, evaluation: Evaluation) -> str:
        """Return what `eval_id(run, evaluation)` returns."""
        text = f"ditlab-eval-{ID_VERSION}\n{run}\n{self._text(evaluation)}"
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]

    def _text(self, value: Any) -> str:
        text = self._texts.get(id(value))
        if text is None:
            text = ENCODER.encode(_plain(value))
            self._texts[id(value)] = text
            self._kept.append(value)
        return text


def is_old(record: dict[str, Any]) -> bool:
    """Return whether a run record was made under an older id version.

    It stays readable, and is marked as such.
    """
    return record.get("id_version") != ID_VERSION


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, BaseModel):
        return canonical(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float) and value == 0:
        return 0.0  # -0.0 and 0.0 are one value
    return value
