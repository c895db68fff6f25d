"""The calibration gate: does this evaluator give a public sample batch its numbers?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dit_core.errors import RecordError, UserError
from dit_core.evaluate.features.extractors import Extractor, Unchanged
from dit_core.evaluate.features.reference import Reference
from dit_core.evaluate.metrics.intervals import Metric
from dit_core.records.disk.files import read_json, write_json
from dit_core.records.provenance import now, provenance
from dit_core.study.catalogue.protocol import Protocol

# Sample batches that their authors published with numbers, by file name. Source: the README of
# ADM's evaluation suite.
PUBLISHED: dict[str, dict[str, float]] = {
    "admnet_guided_upsampled_imagenet256.npz": {
        "fid": 3.9426,
        "sfid": 6.1404,
        "is": 215.84,
        "precision": 0.8265,
        "recall": 0.5309,
    },
}
# How far a metric may lie from the published number: a port of the same network differs in the
# fourth digit, a wrong decoder, resize or reference in the second.
TOLERANCE: dict[str, tuple[float, str]] = {
    "fid": (0.005, "relative"),
    "sfid": (0.01, "relative"),
    "is": (0.01, "relative"),
    "precision": (0.005, "absolute"),
    "recall": (0.005, "absolute"),
}


def expected_of(samples: Path, given: dict[str, float]) -> dict[str, float]:
    """Return the published numbers of a sample batch: those given, else the known ones."""
    if given:
        unknown = sorted(set(given) - set(TOLERANCE))
        if unknown:
            raise UserError(
                f"no tolerance for {', '.join(unknown)}; --expect takes {', '.join(TOLERANCE)}"
            )
        return given
    if samples.name not in PUBLISHED:
        raise UserError(
            f"{samples.name}: no published numbers are known for a file of this name; give them, "
            "as in "
            f"--expect fid=3.9426 (known: {', '.join(PUBLISHED)})"
        )
    return PUBLISHED[samples.name]


def compare(metrics: dict[str, Metric], expected: dict[str, float]) -> list[dict[str, Any]]:
    """Return one row per expected metric: published, measured, deviation, tolerance, ok."""
    rows = []
    for name, published in expected.items():
        bound, kind = TOLERANCE[name]
        measured = metrics.get(name, {}).get("value")
        deviation = None if measured is None else measured - published
        if deviation is not None and kind == "relative":
            deviation /= published
        ok = deviation is not None and abs(deviation) <= bound
        rows.append(
            {
                "metric": name,
                "published": published,
                "measured": measured,
                "deviation": deviation,
                "kind": kind,
                "tolerance": bound,
                "ok": ok,
            }
        )
    return rows


def write_calibration(
    root: Path,
    protocol: Protocol,
    extractor: Extractor,
    reference: Reference,
    samples: Path,
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """Publish the outcome under the results folder and return it."""
    record = {
        "schema": 1,
        "protocol": protocol.name,
        "samples": samples.name,
        "identity": identity_of(protocol, extractor, reference),
        "rows": rows,
        "passed": all(row["ok"] for row in rows),
        "at": now(),
        "provenance": provenance(),
    }
    write_json(root / "calibration" / f"{protocol.name}.json", record)
    return record


def identity_of(
    protocol: Protocol, extractor: Extractor | Unchanged, reference: Reference
) -> dict[str, Any]:
    """Return what a calibration is good for: metrics of one extractor and reference."""
    return {
        "extractor": extractor.name,
        "weights_sha256": extractor.weights_sha256,
        "layer": protocol.layer,
        "reference_sha256": reference.sha256,
        "metrics": list(protocol.metrics),
    }


def is_calibrated(
    root: Path, protocol: Protocol, extractor: Extractor | Unchanged, reference: Reference
) -> bool | None:
    """Return whether a calibration under `root` passed; None for protocols that need none.

    All protocols of one extractor and reference share a calibration: the decoder and the sampler
    come before it.
    """
    if protocol.extractor != "inception-v3-compat":
        return None
    wanted = identity_of(protocol, extractor, reference)
    for path in sorted((root / "calibration").glob("*.json")):
        try:
            record = read_json(path)
            same = all(record["identity"][key] == wanted[key] for key in wanted if key != "metrics")
            covers = set(wanted["metrics"]) <= set(record["identity"]["metrics"])
            if record["passed"] is True and same and covers:
                return True
        except (RecordError, KeyError, TypeError):
            continue  # an unreadable calibration proves nothing
    return False
