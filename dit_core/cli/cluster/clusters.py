"""`ditlab clusters`: the known profiles, and a proposal for this cluster from sinfo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dit_core.cli.shared.options import JsonOption, print_json
from dit_core.errors import UserError


def clusters(
    profile_file: Annotated[
        Path | None, typer.Option("--profile-file", help="Clusters file to read or write.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the proposal where there is no file yet.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check and show the profiles of the clusters file; propose one per partition here."""
    from slurm.scheduler.profile import clusters_file, parse_profile, read_profiles
    from slurm.submission.cluster import propose

    path = clusters_file(profile_file)
    known = read_profiles(profile_file) if path.exists() else {}
    for name, raw in known.items():
        parse_profile(raw, f"{path}: {name}")
    proposed = propose()
    if write:
        _write(path, proposed)
    if as_json:
        print_json({"file": str(path), "profiles": known, "proposed": proposed})
        return
    if known:
        print(f"{path}: {', '.join(known)}")
    print(f"{'written to' if write else 'proposed for'} {path}:\n")
    print(yaml.safe_dump(proposed, sort_keys=False).rstrip())


def _write(path: Path, proposed: dict[str, dict[str, object]]) -> None:
    if path.exists():
        raise UserError(f"{path}: exists already; copy what you need from the proposal by hand")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (
        "# Proposed by `ditlab clusters --write` from sinfo. Keys: docs/slurm.md\n"
        + yaml.safe_dump(proposed, sort_keys=False)
    )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
