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
    plain: dict[str, Any] = {}
    for name, info in type(record).model_fields.items():
        value = getattr(record, name)
        extra = info.json_schema_extra
        if isinstance(extra, dict) and "neutral" in extra and value == extra["neutral"]:
            continue
        plain[name] = _plain(value)
    return plain


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
