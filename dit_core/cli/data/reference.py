"""`ditlab reference SOURCE`: images, latents or an ADM file become checked reference statistics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dit_core.cli.shared.bar import bar
from dit_core.cli.shared.options import JsonOption, print_json
from dit_core.device import device_for
from dit_core.errors import UserError

if TYPE_CHECKING:
    from dit_core.evaluate.features.extractors import Extractor
    from dit_core.evaluate.features.reference import Reference
    from dit_core.study.catalogue.protocol import Protocol

WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights", help="The extractor's weights file; else where `data_roots` would look."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
VaeOption = Annotated[
    Path | None,
    typer.Option("--vae", help="Folder of the protocol's VAE; else where `data_roots` would look."),
]


def reference(
    source: Annotated[
        Path, typer.Argument(help="A folder of images, of latents, or an .npz (mu, sigma, arr_0).")
    ],
    protocol: Annotated[
        str, typer.Option("--protocol", help="Protocol whose extractor is used.")
    ] = "dit-scaling",
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; else where evaluations look.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The data set's name, for fid-10k and fid-50k.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Side of the images in pixels, for the same.")
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", help="Features kept for precision, recall and KID.")
    ] = 10_000,
    weights: WeightsOption = None,
    vae: VaeOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compute the reference statistics that a protocol's evaluations are compared with."""
    from dit_core.evaluate.features.reference import write_reference
    from dit_core.records.assets import assets_folder
    from dit_core.records.disk.files import sha256_of
    from dit_core.study.catalogue.protocols import protocol_of

    chosen = protocol_of(protocol)
    if chosen.reference == "digits":
        raise UserError(
            f"protocol {protocol!r} needs no file: its reference is the built-in digits"
        )
    called = name if chosen.reference == "data" else chosen.reference
    if called is None:
        raise UserError(
            f"--name is missing: protocol {protocol!r} names its reference after the study's data "
            "set"
        )
    if size is not None:
        chosen = replace(chosen, image=(3, size, size))
    extractor = extractor_for(chosen, weights, device)
    made = _make(source, chosen, extractor, keep, vae)
    target = out or assets_folder() / f"reference-{called}.safetensors"
    write_reference(target, made, extractor, chosen.layer)
    kept = 0 if made.features is None else len(made.features)
    digest = sha256_of(target)
    facts = {
        "file": str(target),
        "sha256": digest,
        "images": made.count,
        "features_kept": kept,
        "spatial": made.spatial is not None,
    }
    if as_json:
        print_json(facts)
        return
    print(
        f"{target}: statistics of {made.count or 'all'} images, {kept:,} features kept, sha256 "
        f"{digest[:16]}…"
    )
    if out is not None:
        print(f"in a study: execution: {{data_roots: {{reference-{called}: {target}}}}}")


def extractor_for(protocol: Protocol, weights: Path | None, device: str) -> Extractor:
    """Return the protocol's extractor with weights from the command line or the usual places."""
    from dit_core.evaluate.features.extractors import make_extractor

    return make_extractor(
        protocol, {"inception": str(weights)} if weights else None, device_for(device)
    )


def _make(
    source: Path, protocol: Protocol, extractor: Extractor, keep: int, vae: Path | None
) -> Reference:
    from dit_core.evaluate.samples.sources import npz_names, open_source
    from dit_core.evaluate.score import reference_from_adm, reference_from_images

    with bar("reference") as show:
        if source.suffix == ".npz" and "mu" in npz_names(source):
            images = open_source(source, protocol.image) if "arr_0" in npz_names(source) else None
            return reference_from_adm(protocol.reference, source, images, protocol, extractor, show)
        if (source / "manifest.json").is_file():
            opened: Any = _latents(source, protocol, extractor, vae)
        else:
            opened = open_source(source, protocol.image, crop=True)
        return reference_from_images(protocol.reference, opened, protocol, extractor, keep, show)


def _latents(source: Path, protocol: Protocol, extractor: Extractor, vae: Path | None) -> Any:
    from dit_core.data.latents.latent_set import read_manifest
    from dit_core.evaluate.samples.decoder import make_decoder
    from dit_core.evaluate.samples.sources import latent_source
    from dit_core.study.science.science import Data

    if protocol.decoder is None or protocol.image is None:
        raise UserError(f"{source}: holds latents, but protocol {protocol.name!r} has no decoder")
    c, h, w = read_manifest(source).shape
    roots = {protocol.decoder.hub.rpartition("/")[2]: str(vae)} if vae else None
    data = Data(name="latents", kind="latents", channels=c, height=h, width=w)
    decode, identity = make_decoder(protocol, data, roots, extractor.device)
    return latent_source(source, decode, identity["scale"], protocol.image)
