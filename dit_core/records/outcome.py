"""outcome.json: how a training ended, written last.

Only an outcome whose manifest still matches proves "done".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dit_core.errors import RecordError
from dit_core.records.disk.fence import publishing
from dit_core.records.disk.files import read_json, sha256_of, write_json
from dit_core.records.paths import RunPaths
from dit_core.records.provenance import now, provenance

SCHEMA = 1
OUTCOMES = ("DONE", "DIVERGED", "FAILED")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended: DONE, DIVERGED (a result, not an error) or FAILED with its reason."""

    outcome: str
    reason: str | None
    images_seen: int
    attempt: int


def write_outcome(paths: RunPaths, outcome: Outcome) -> None:
    """Publish the outcome with the hashes of its snapshots; it may replace a FAILED one.

    A result (DONE, DIVERGED) stays where another attempt fails: it is left as it is.
    """
    manifest = {
        folder.name: sha256_of(folder / "MANIFEST.json")
        for folder in sorted(paths.snapshots.glob("[0-9]*"))
        if (folder / "MANIFEST.json").exists()
    }
    record = {
        "schema": SCHEMA,
        "run_id": paths.root.name,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "images_seen": outcome.images_seen,
        "attempt": outcome.attempt,
        "snapshots": manifest,
        "ended_at": now(),
        "provenance": provenance(),
    }
    with publishing(paths.outcome):
        if outcome.outcome != "FAILED" or not _has_result(paths):
            write_json(paths.outcome, record, sealed=True)


def _has_result(paths: RunPaths) -> bool:
    try:
        found = read_outcome(paths)
    except RecordError:
        return False
    return found is not None and found.outcome != "FAILED"


def read_outcome(paths: RunPaths) -> Outcome | None:
    """Return the outcome of a run; None while it has none; raise RecordError if torn."""
    try:
        record: dict[str, Any] = read_json(paths.outcome)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        outcome = Outcome(
            record["outcome"], record["reason"], record["images_seen"], record["attempt"]
        )
    except (KeyError, TypeError) as error:
        raise RecordError(
            f"{paths.outcome}: lacks {error}; `ditlab doctor` says how to mend it"
        ) from error
    if outcome.outcome not in OUTCOMES:
        raise RecordError(
            f"{paths.outcome}: unknown outcome {outcome.outcome!r}; allowed: {', '.join(OUTCOMES)}"
        )
    return outcome
