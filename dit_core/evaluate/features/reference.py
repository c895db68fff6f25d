"""Reference statistics that samples are compared with: a checked file, or computed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dit_core.errors import DataError
from dit_core.evaluate.features.extractors import SPATIAL, Extractor
from dit_core.evaluate.features.moments import Moments
from dit_core.evaluate.protocol.assets import find_asset, reference_asset
from dit_core.evaluate.samples.real_rows import Rows
from dit_core.records.disk.files import write_atomic
from dit_core.study.catalogue.metrics import metric_of
from dit_core.study.catalogue.protocol import Protocol

FORMAT = "ditlab-reference-1"


@dataclass(frozen=True, slots=True)
class Reference:
    """Mean and covariance of the reference's features in float64, and features if kept."""

    name: str
    sha256: str
    count: int | None  # images; None where a file does not say
    mean: Tensor  # (D,)
    covariance: Tensor  # (D, D)
    features: Tensor | None = (
        None  # (M, D) float32; ADM's file has 10,000 of them, its mean and covariance all images
    )
    spatial: tuple[Tensor, Tensor] | None = None  # mean (2023,), covariance (2023, 2023) of sFID
    facts: dict[str, Any] = field(default_factory=dict)


def reference_of(
    protocol: Protocol,
    extractor: Extractor,
    roots: dict[str, str] | None = None,
    data: str | None = None,
) -> Reference:
    """Return the protocol's reference, checked; `data` names the study's data set.

    Raises EnvironmentProblem where its file is missing, DataError where it belongs to another
    extractor.
    """
    if protocol.reference == "digits":
        return digits_reference(extractor, protocol.layer)
    return read_reference(find_asset(reference_asset(protocol, data), roots), protocol, extractor)


def digits_reference(extractor: Extractor, layer: str) -> Reference:
    """Return the statistics of all 1,797 real digits: 30 ms of work, so nothing is stored."""
    from dit_core.evaluate.digits.classifier import digits_uint8

    images, _ = digits_uint8()
    features = extractor(images)[layer]
    own = Moments.of(features)
    sha256 = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    return Reference(
        "digits",
        sha256,
        own.count,
        own.mean(),
        own.covariance(),
        features,
        facts={"source": "digits"},
    )


def rows_reference(name: str, rows: Rows, maps: bool = False) -> Reference:
    """Return the statistics of the real rows (m, k) that vectors are compared with.

    Maps are held against their rows one by one: their reference names the rows and has no
    statistics.
    """
    facts = {"source": name}
    sha256 = str(rows.identity["sha256"])
    if maps:
        return Reference(name, sha256, len(rows), torch.empty(0), torch.empty(0, 0), facts=facts)
    x, _ = rows.truth(len(rows))
    own = Moments.of(x.flatten(1))
    return Reference(
        name, sha256, own.count, own.mean(), own.covariance(), x.flatten(1).float(), facts=facts
    )


def write_reference(path: Path, reference: Reference, extractor: Extractor, layer: str) -> None:
    """Publish a reference as one safetensors file whose header says what it is of."""
    from safetensors.torch import save

    tensors = {"mean": reference.mean.double(), "covariance": reference.covariance.double()}
    if reference.features is not None:
        tensors["features"] = reference.features.float()
    if reference.spatial is not None:
        tensors["spatial_mean"], tensors["spatial_covariance"] = (
            t.double() for t in reference.spatial
        )
    header = {
        "format": FORMAT,
        "name": reference.name,
        "count": reference.count,
        "extractor": extractor.name,
        "weights_sha256": extractor.weights_sha256,
        "layer": layer,
        "facts": reference.facts,
    }
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(plain, metadata={"ditlab": json.dumps(header, sort_keys=True)}))


def read_reference(path: Path, protocol: Protocol, extractor: Extractor) -> Reference:
    """Return the reference in a file; DataError names the file and what does not fit."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("ditlab", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not readable as reference statistics ({error}); make it with `ditlab "
            "reference`"
        ) from error
    if header.get("format") != FORMAT or not {"mean", "covariance"} <= tensors.keys():
        raise DataError(f"{path}: holds no reference statistics; make them with `ditlab reference`")
    for key, wanted in (
        ("extractor", extractor.name),
        ("weights_sha256", extractor.weights_sha256),
        ("layer", protocol.layer),
    ):
        if header.get(key) != wanted:
            raise DataError(
                f"{path}: was made with {key} {str(header.get(key))[:20]!r}, "
                f"but protocol {protocol.name!r} uses {wanted[:20]!r}"
            )
    check_moments(path, tensors["mean"], tensors["covariance"], protocol.width)
    spatial = (
        (tensors["spatial_mean"], tensors["spatial_covariance"])
        if "spatial_mean" in tensors
        else None
    )
    if SPATIAL in extractor.layers and spatial is None:
        raise DataError(
            f"{path}: has no spatial statistics, which sfid of protocol {protocol.name!r} needs"
        )
    features = tensors.get("features")
    needing = [name for name in protocol.metrics if metric_of(name).needs == "kept features"]
    if features is None and needing:
        raise DataError(
            f"{path}: has no features, which {', '.join(needing)} of protocol "
            f"{protocol.name!r} need"
        )
    return Reference(
        header["name"],
        hashlib.sha256(path.read_bytes()).hexdigest(),
        header["count"],
        tensors["mean"].double(),
        tensors["covariance"].double(),
        features,
        spatial,
        header["facts"],
    )


def check_moments(where: Path | str, mean: Tensor, covariance: Tensor, width: int) -> None:
    """Raise DataError where mean or covariance have another shape or are not finite."""
    if mean.shape != (width,) or covariance.shape != (width, width):
        raise DataError(
            f"{where}: mean {tuple(mean.shape)} and covariance {tuple(covariance.shape)}; wanted "
            f"is width {width}"
        )
    if not (torch.isfinite(mean).all() and torch.isfinite(covariance).all()):
        raise DataError(f"{where}: mean or covariance holds values that are not finite")
    scale = covariance.abs().max().item()
    if (covariance - covariance.T).abs().max().item() > 1e-5 * max(scale, 1e-30):
        raise DataError(f"{where}: covariance is not symmetric")
