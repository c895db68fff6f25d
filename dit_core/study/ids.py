"""Identity: the canonical form of a science or an evaluation, and the 16 hexadecimal digits of its sha256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from dit_core.study.sampling import Evaluation
from dit_core.study.science import Science

ID_VERSION = 1
ID_LENGTH = 16


def canonical(record: BaseModel) -> dict[str, Any]:
    """Return the record as plain values, every field written out, neutral younger fields left out."""
    return {name: _plain(getattr(record, name)) for name in _written(record)}


def _written(record: BaseModel) -> list[str]:
    """Return the fields that enter the identity: all but younger ones at the value under which they do nothing."""
    names: list[str] = []
    for name, info in type(record).model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "neutral" in extra and getattr(record, name) == extra["neutral"]:
            continue
        names.append(name)
    return names


def canonical_json(record: BaseModel) -> str:
    """Return the canonical form as JSON: sorted keys, no blanks, floats in their shortest exact form."""
    return json.dumps(canonical(record), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def run_id(science: Science) -> str:
    """Return the identity of a training: 16 hex digits of sha256(id version, canonical science)."""
    return full_hash(science)[:ID_LENGTH]


def eval_id(run: str, evaluation: Evaluation) -> str:
    """Return the identity of an evaluation of run `run`: 16 hex digits."""
    text = f"ditlab-eval-{ID_VERSION}\n{run}\n{canonical_json(evaluation)}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def full_hash(science: Science) -> str:
    """Return the whole sha256 of the canonical science, which a run folder stores to catch a collision of ids."""
    return hashlib.sha256(f"ditlab-run-{ID_VERSION}\n{canonical_json(science)}".encode()).hexdigest()


class Hasher:
    """The same ids for many runs that share sections: the JSON of each section object is made once.

    Sections are told apart by `id()`; the hasher keeps them alive so that no id is used twice.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._kept: list[BaseModel] = []

    def full_hash(self, science: Science) -> str:
        """Return what `full_hash(science)` returns."""
        parts = {name: self._text(getattr(science, name)) for name in _written(science)}
        text = "{" + ",".join(f'"{name}":{parts[name]}' for name in sorted(parts)) + "}"
        return hashlib.sha256(f"ditlab-run-{ID_VERSION}\n{text}".encode()).hexdigest()

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
            text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
            self._texts[id(value)] = text
            self._kept.append(value)
        return text


def is_old(record: dict[str, Any]) -> bool:
    """Return whether a run record was made under an older id version: it stays readable, and is marked as such."""
    return record.get("id_version") != ID_VERSION


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return canonical(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float) and value == 0:
        return 0.0  # -0.0 and 0.0 are one value
    return value
