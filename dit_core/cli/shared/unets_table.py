"""`ditlab plan STUDY --unets`: beside each run, the U-Net whose forward pass costs as much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from dit_core.errors import UserError
from dit_core.study.price import cost, unet_cost
from dit_core.study.science.run import Run
from dit_core.study.science.unet import UNet


def unet_document(study: str, runs: Iterable[Run]) -> dict[str, Any]:
    """Return for every run its cost, and the settings and cost of its U-Net, as plain values."""
    return {"study": study, "runs": [_row(run) for run in runs]}


def print_unets(runs: Iterable[Run]) -> None:
    """Print a pair of lines per run: its cost, and the `model:` of the U-Net that costs as much."""
    for row in map(_row, runs):
        settings = ", ".join(f"{key}: {value}" for key, value in row["unet"].items())
        typer.echo(f"{row['name'] or '(base)'}: {row['fwd_gmacs']:.4g} Gmacs")
        typer.echo(
            f"  {row['unet_fwd_gmacs']:.4g} Gmacs ({row['ratio']:.3f}): model: {{{settings}}}"
        )


def _row(run: Run) -> dict[str, Any]:
    science = run.science
    try:
        macs = cost.fwd_macs(science)
        out = cost.out_channels(science)
        unet = unet_cost.sized(macs, unet_cost.usual(science.data), science.data, out)
    except ValueError as error:
        raise UserError(f"--unets: {error} (run {run.name!r})") from None
    theirs = unet_cost.fwd_macs(unet, science.data, out)
    settings = {name: value for name, value in unet.model_dump().items() if _differs(name, value)}
    return {
        "run_id": run.run_id,
        "name": run.name,
        "fwd_gmacs": macs / 1e9,
        "unet": {"family": "unet", **settings},
        "unet_fwd_gmacs": theirs / 1e9,
        "unet_params": unet_cost.params(unet, science.data, out),
        "ratio": theirs / macs,
    }


def _differs(name: str, value: Any) -> bool:
    return bool(UNet.model_fields[name].default != value)
