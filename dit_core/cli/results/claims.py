"""`ditlab claims STUDY|published`: what was claimed beforehand, judged on what was measured."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.cli.shared.spinner import spinner
from dit_core.cli.shared.study_argument import PUBLISHED, StudyOrPublished, study_file
from dit_core.errors import UserError, nearest
from dit_core.records.paths import Store
from dit_core.study.language.spec import load_study

if TYPE_CHECKING:
    from analysis.claims.judge import Judgement
    from dit_core.study.science.claim_kinds import Claim

_STYLE = {"SUPPORTED": "green", "REFUTED": "red", "UNDECIDED": "yellow"}


def claims(
    study: StudyOrPublished,
    only: Annotated[str | None, typer.Option(help="Claims by id, separated by commas.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 unless every claim is supported.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Show every comparison behind a verdict.")
    ] = False,
    statements: Annotated[
        bool,
        typer.Option(
            "--statements",
            help="published: statements often repeated about DiT, compared with the paper.",
        ),
    ] = False,
    results: ResultsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a study's claims: SUPPORTED, REFUTED or UNDECIDED.

    Each verdict shows its estimate, interval, number of points and noise.
    """
    from analysis.claims.judge import judge
    from analysis.select.source import open_source

    store = Store.at(results)
    stated = stated_claims(study, store)
    if not stated.claims:
        raise UserError(
            f"study {stated.name!r} states no claims; write them under `claims:` in {stated.file} "
            "(studies/README.md lists the kinds)"
        )
    source = open_source(stated.name, store.root)
    judged = []
    refused = []
    with spinner("claims") as show:
        for claim in _chosen(stated, only):
            show(claim.id)
            try:
                judged.append(judge(claim, source))
            except UserError as error:  # one wrong claim keeps no other from being judged
                text = str(error)
                refused.append(text if text.startswith("claim ") else f"claim {claim.id!r}: {text}")
    if as_json:
        found = {"study": stated.name, "claims": [j.plain() for j in judged], "refused": refused}
        print_json(found | _repeated(stated.name))
    else:
        _print(judged, details)
        if stated.name == PUBLISHED:
            _print_statements(statements)
    if refused:
        raise UserError("\n".join(refused))
    if strict and any(j.verdict != "SUPPORTED" for j in judged):
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class StatedClaims:
    """A study's claims, perhaps none, and the file that states them (None for published)."""

    name: str
    claims: tuple[Claim, ...]
    file: Path | None


def stated_claims(study: str, store: Store) -> StatedClaims:
    """Return the claims of the YAML file, of the study as it last ran, or of the paper's numbers.

    Raises StudyError where the file cannot be read, UserError where there is no such study.
    """
    if study == PUBLISHED:
        from analysis.published.claims import core_claims

        return StatedClaims(study, core_claims(), None)
    file = study_file(study, store)
    loaded = load_study(file)
    return StatedClaims(loaded.name, loaded.claims, file)


def _chosen(stated: StatedClaims, only: str | None) -> list[Claim]:
    ids = [claim.id for claim in stated.claims]
    wanted = [word.strip() for word in only.split(",")] if only else ids
    for word in wanted:
        if word not in ids:
            raise UserError(
                f"no claim {word!r}{nearest(word, ids)} in {stated.name}; its claims are "
                f"{', '.join(ids)}"
            )
    return [claim for claim in stated.claims if claim.id in wanted]


def number(value: float | None) -> str:
    """Return a number in four digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str:
    """Return "0.8 to 1.2", or a dash."""
    return "-" if low is None or high is None else f"{low:.3g} to {high:.3g}"


def counted(judged: Judgement) -> str:
    """Return "16 trainings", with the number of comparisons where there are several."""
    noun = "model" if judged.kind == "correlation" else "training"
    text = f"{judged.n} {noun}" if judged.n == 1 else f"{judged.n} {noun}s"
    return f"{text}, {judged.comparisons} comparisons" if judged.comparisons > 1 else text


def noise_text(judged: Judgement) -> str:
    """Return "noise between trainings: 9 % of the value (prior: …)", or what decided else."""
    if judged.noise is None or judged.decided_by == "count":
        return f"interval: {judged.noise_source}"
    size = f"{judged.noise * 100:.2g} % of the value" if judged.noise_is_share else ""
    return f"noise between trainings: {size or number(judged.noise)} ({judged.noise_source})"


def _print(judged: list[Judgement], details: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    for j in judged:
        console.print(
            f"[bold {_STYLE[j.verdict]}]{j.words:<10}[/] [bold]{escape(j.id)}[/]  {escape(j.text)}"
        )
        if j.quantity:
            span = interval(j.low, j.high)
            line = (
                f"{j.quantity}: {number(j.estimate)}, interval {span}, {counted(j)}; "
                f"wanted {j.bound}"
            )
            console.print(f"           {escape(line)}")
            console.print(f"           {escape(noise_text(j))}")
        setting = f"judged at {j.setting}; name it under `where:` for another" if j.setting else ""
        for text in (
            setting,
            j.reason,
            f"conditional on: {j.conditional}" if j.conditional else "",
        ):
            if text:
                console.print(f"           {escape(text)}")
        for text in j.detail if details else ():
            console.print(f"             {escape(text)}")
    counts = {v: sum(j.verdict == v for j in judged) for v in _STYLE}
    console.print(", ".join(f"{n} {v}" for v, n in counts.items()))


def _repeated(name: str) -> dict[str, Any]:
    """Return the statements often repeated about DiT, for the paper's own numbers only."""
    if name != PUBLISHED:
        return {}
    from analysis.published.claims import statements

    rows = statements().rename(columns={"document_says": "statement"})
    rows = rows[["id", "topic", "statement", "paper_or_code_says", "evidence", "status", "holds"]]
    return {"statements": rows.where(rows.notna(), None).to_dict("records")}


def _print_statements(every: bool) -> None:
    """Print how many statements often repeated about DiT hold, and each of them where wanted."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from analysis.published.claims import statements

    rows = statements()
    console = Console(width=None if sys.stdout.isatty() else 160)
    counts = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
    head = f"{len(rows)} statements often repeated about DiT, compared with the paper: {counts}"
    more = "" if every else "; --statements lists them"
    console.print(f"{head}{more}", markup=False, highlight=False)
    if not every:
        return
    table = Table("id", "topic", "statement", "the paper or its code", "verdict", show_lines=True)
    for _, row in rows.iterrows():
        columns = ("id", "topic", "document_says", "paper_or_code_says", "status")
        table.add_row(*[escape(str(row[column])) for column in columns])
    console.print(table)
