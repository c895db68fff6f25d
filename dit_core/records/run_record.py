"""run.yaml: the resolved science of a run, written once, compared at every re-opening."""

from __future__ import annotations

from typing import Any

import yaml

from dit_core.errors import RecordError, RunConflict
from dit_core.records.disk.files import read_regular, write_atomic
from dit_core.records.paths import RunPaths
from dit_core.study.price.facts import cost_facts, network_facts
from dit_core.study.science import ids
from dit_core.study.science.science import Science


def open_run(paths: RunPaths, science: Science) -> None:
    """Make the run's folder hold `science`, or check that it already does.

    Raises RunConflict with the differing keys where another science lies there (a collision of ids,
    or a hand edit).
    """
    record = {
        "id_version": ids.ID_VERSION,
        "run_id": ids.run_id(science),
        "sha256": ids.full_hash(science),
        "science": ids.canonical(science),
        "derived": derived(science),
    }
    if not paths.run_yaml.exists():
        text = (
            "# Written once by ditlab; the folder's name is the hash of `science`.\n"
            + yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
        )
        write_atomic(paths.run_yaml, text.encode())
        return
    stored = read_run(paths)
    if stored["sha256"] != record["sha256"] or stored["science"] != record["science"]:
        lines = list(_differences(stored["science"], record["science"]))
        raise RunConflict(
            f"{paths.run_yaml}: holds another science than the one to run: "
            f"{'; '.join(lines) or 'hash differs'}; "
            "move the folder away or restore the file"
        )


def read_run(paths: RunPaths) -> dict[str, Any]:
    """Return the stored record; raise RecordError where it is torn or lacks a part."""
    try:
        record = yaml.safe_load(read_regular(paths.run_yaml))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(
            f"{paths.run_yaml}: not readable as YAML; `ditlab doctor` says how to mend it"
        ) from error
    missing = {"id_version", "run_id", "sha256", "science"} - set(
        record if isinstance(record, dict) else ()
    )
    if missing:
        raise RecordError(
            f"{paths.run_yaml}: lacks {', '.join(sorted(missing))}; `ditlab doctor` says how to "
            "mend it"
        )
    return dict(record)


def read_science(paths: RunPaths) -> Science:
    """Return the science of a run folder, checked against its own hash."""
    record = read_run(paths)
    science = Science.model_validate(record["science"])
    if record["id_version"] == ids.ID_VERSION and ids.full_hash(science) != record["sha256"]:
        raise RecordError(
            f"{paths.run_yaml}: its science does not give its own hash: the file was edited"
        )
    return science


def derived(science: Science) -> dict[str, Any]:
    """Return what follows from the science: size, tokens, params, forward Gmacs, training FLOPs."""
    return {
        "model_size": science.model.size,
        "tokens": network_facts(science)["tokens"],
        **cost_facts(science),
    }


def _differences(old: Any, new: Any, path: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else str(key)
            )
    elif old != new:
        yield f"{path} is {old!r} there and {new!r} here"
