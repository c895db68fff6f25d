"""Figures and tables to files, and whether the files there are still what the records give."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.figures import catalogue, style
from analysis.figures.rows import rows_of
from analysis.select.points import final_points
from analysis.select.source import Source
from analysis.write import paper_tables
from dit_core.errors import UserError
from dit_core.records.disk.files import write_atomic
from dit_core.study.catalogue.figures import FIGURES


@dataclass
class Written:
    """What was written, and what could not be drawn and why."""

    files: list[Path] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def write_all(
    source: Source,
    folder: Path,
    wanted: Sequence[str] = (),
    *,
    formats: Sequence[str] = style.FORMATS,
    with_tables: bool = True,
    mix: bool = False,
    said: Callable[[str], None] = lambda name: None,
) -> Written:
    """Draw figures (the `wanted`, else all) and the tables of `source` into `folder`.

    A figure whose data are missing is skipped and its reason kept. Where figures are `wanted` and
    none of them can be drawn: UserError, and nothing is written. `said` is called with each name
    before it is drawn.
    """
    done = Written()
    for name in wanted or FIGURES:
        said(name)
        try:
            fig = catalogue.draw(name, source, mix)
        except UserError as error:
            done.missing[name] = str(error)
            continue
        done.files += style.save(fig, folder / FIGURES[name].stem, formats)
    if wanted and not done.files:
        raise UserError("\n".join(done.missing[name] for name in wanted))
    if with_tables:
        try:
            done.files += write_tables(source, folder, mix)
        except UserError as error:
            done.missing["tables"] = str(error)
    return done


def write_tables(source: Source, folder: Path, mix: bool = False) -> list[Path]:
    """Write the tables as .md, .csv and .tex; return the paths."""
    if source.is_published:
        chosen = paper_tables.published_tables()
    else:
        chosen = paper_tables.study_tables(
            final_points(rows_of(source), source.metric, mix=mix, same_design=False)
        )
    paths = []
    for table in chosen:
        for ending, form in paper_tables.FORMATS.items():
            path = folder / f"{table.name}.{ending}"
            write_atomic(path, form(table).encode())
            paths.append(path)
    return paths


def differing(folder: Path, make: Callable[[Path], Written]) -> list[str]:
    """Return the names of files in `folder` that are missing or differ from what `make` writes."""
    with tempfile.TemporaryDirectory(prefix="ditlab-figures-") as scratch:
        fresh = make(Path(scratch)).files
        return sorted(p.name for p in fresh if not _same(p, folder / p.name))


def _same(fresh: Path, kept: Path) -> bool:
    return kept.is_file() and kept.read_bytes() == fresh.read_bytes()
