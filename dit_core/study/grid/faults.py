"""From pydantic's errors to faults: what is wrong, and the fields it is written in."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from dit_core.errors import FieldError
from dit_core.study.problems import Fault


def faults_of(error: ValidationError) -> list[Fault]:
    """Return a fault for each error of a model, with the fields that it concerns."""
    return [_fault(item) for item in error.errors()]


def _fault(item: Any) -> Fault:
    cause = item.get("ctx", {}).get("error")  # what a validator of ours raised
    path = ".".join(str(part) for part in item["loc"])
    text = str(cause) if cause is not None else item["msg"]
    if isinstance(cause, FieldError):
        return Fault(text, cause.fields)
    return Fault(f"{path}: {text}", (path,)) if path else Fault(text)
