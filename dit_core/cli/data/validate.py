"""`ditlab validate PROTOCOL SAMPLES.npz`: does the evaluator reproduce published numbers?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dit_core.cli.data.reference import DeviceOption, WeightsOption, extractor_for
from dit_core.cli.shared.bar import bar
from dit_core.cli.shared.options import JsonOption, ResultsOption, print_json
from dit_core.errors import UserError
from dit_core.records.paths import Store


def validate(
    protocol: Annotated[str, typer.Argument(help="Protocol, as dit-scaling.")],
    samples: Annotated[
        Path,
        typer.Argument(help="Public samples: an .npz with arr_0 of uint8 images, or a folder."),
    ],
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", help="A published number, as fid=3.9426; may be repeated."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Reference statistics (`ditlab reference`).")
    ] = None,
    weights: WeightsOption = None,
    results: ResultsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score a public sample batch and compare with its published numbers.

    Once a protocol has passed, its evaluations lose the mark "uncalibrated".
    """
    from dit_core.evaluate.features.reference import reference_of
    from dit_core.evaluate.samples.sources import open_source, require_count
    from dit_core.evaluate.score import score
    from dit_core.evaluate.validate import compare, expected_of, write_calibration
    from dit_core.study.catalogue.protocols import protocol_of

    chosen = protocol_of(protocol)
    if chosen.extractor == "ditlab-digits":
        raise UserError(
            "protocol 'digits' needs no validation: its extractor and reference ship with the "
            "package"
        )
    expected = expected_of(samples, _numbers(expect or []))
    source = open_source(samples, chosen.image)
    require_count(source, chosen.samples)
    extractor = extractor_for(chosen, weights, device)
    held = reference_of(
        chosen, extractor, {f"reference-{chosen.reference}": str(reference)} if reference else None
    )
    with bar("features") as show:
        metrics = score(chosen, source, extractor, held, show)
    rows = compare(metrics, expected)
    record = write_calibration(Store.at(results).root, chosen, extractor, held, samples, rows)
    if as_json:
        print_json(record)
    else:
        _show(rows)
    if not record["passed"]:
        raise typer.Exit(1)


def _numbers(words: list[str]) -> dict[str, float]:
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            found[name] = float(text)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"--expect {word!r}: write METRIC=NUMBER, as in fid=3.9426")
    return found


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        measured = "none" if row["measured"] is None else f"{row['measured']:.4f}"
        off = "" if row["deviation"] is None else f" ({row['deviation']:+.2%} {row['kind']})"
        verdict = "ok" if row["ok"] else "DIFFERS"
        print(
            f"{row['metric']:<10} published {row['published']:<9g} measured {measured}{off}  "
            f"{verdict}"
        )
